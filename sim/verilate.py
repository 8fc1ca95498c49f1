"""From Verilog and a C++ program to an executable simulator, with Verilator; each is built once and kept."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from triovit.sim import toolchain
from triovit.sim.cache import Progress, build_root, content_key, kept

OPTIMIZE = ("-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert", "-Wno-fatal", "-Wno-lint")
# Source files of Verilator's runtime: the same objects for every design, kept between builds.
RUNTIME_OBJECTS = ("verilated.o", "verilated_vpi.o", "verilated_threads.o", "verilated_dpi.o", "verilated_vcd_c.o")
PROGRAM = "unfinished"
LOG = "build.log"
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")


def verilate(
    sources: Iterable[str | Path], main: str | Path, *, top: str, folder: Path | None = None,
    options: Iterable[str] = (), depends: Iterable[str | Path] = (), headers: Mapping[str, str] | None = None,
    links: Mapping[str, Path] | None = None, jobs: int = 2, progress: Progress | None = None,
) -> Path:  # fmt: skip
    """Executable of the Verilog module `top` and the C++ program `main` around it.

    sources: Verilog files and Verilator control files. main: a C++ file that includes "Vtop.h". folder: parent
    of the build, build/verilator by default. options: more Verilator options (`-CFLAGS -DNAME=1`, `--vpi`).
    depends: headers that `main` includes. headers: more of them, name -> text, which are written for it. links: name
    in the folder of work -> folder of libraries, which the options name (make takes no blank in a path). The
    executable stands in <folder>/<key>, the key being the contents of all sources, the options, the versions of the
    tools, and the flags and variables that they are given: an unchanged design is not built again. Safe with several
    processes; paths may have any character. Raises ToolchainError with the log's end (the log is <folder>/<key>.log),
    BuildFolderError when the folder cannot be written.
    """
    verilog = _contents(sources)
    program, *included = (Path(path) for path in (main, *depends))
    files = {path.name: path.read_bytes() for path in (program, *included)}
    files |= {name: text.encode() for name, text in (headers or {}).items()} | verilog
    options = [*map(str, options)]
    arguments = ["--top-module", top, *OPTIMIZE, "-CFLAGS", "-std=c++20", *options, program.name, *verilog]
    versions = toolchain.versions()
    parent = folder or build_root() / "verilator"
    target = parent / content_key(versions, *arguments, *(part for file in files.items() for part in file))
    log = target.with_suffix(".log")
    runtime = build_root() / "verilator" / f"runtime-{content_key(versions, *options)}"

    def build(partial: Path) -> None:
        log.unlink(missing_ok=True)  # of a build that failed
        with tempfile.TemporaryDirectory(prefix="work-", dir=partial) as name:
            work = Path(name)
            for file, data in files.items():
                (work / file).write_bytes(data)
            for link, place in (links or {}).items():
                (work / link).symlink_to(place)
            _compile(work, arguments, jobs, runtime, log, progress)
            (work / PROGRAM).rename(partial / top)
        log.rename(partial / LOG)

    return kept(target, build, f"building the simulator of {top}", progress) / top


def _contents(sources: Iterable[str | Path]) -> dict[str, bytes]:
    """Name -> content of Verilog files, with names of our own for those that make would not take."""
    files: dict[str, bytes] = {}
    for number, path in enumerate(map(Path, sources)):
        plain = _PLAIN.fullmatch(path.name) and path.name not in files
        files[path.name if plain else f"source_{number}{path.suffix}"] = path.read_bytes()
    return files


def _compile(work: Path, arguments: list[str], jobs: int, runtime: Path, log: Path, progress: Progress | None) -> None:
    """The executable `PROGRAM` in the folder of work, which has the sources."""
    told = progress or (lambda label, done, total: None)
    toolchain.enter(work)
    told("Verilator writes C++", 0, 0)
    command = ["verilator", "--cc", "--exe", "--prefix", "Vtop", "-Mdir", ".", "-o", PROGRAM, *arguments]
    toolchain.run(command, work, log)
    if runtime.is_dir():  # after Verilator: make compares the objects' times with its makefile
        for source in runtime.glob("*.o"):
            shutil.copyfile(source, work / source.name)
    make = ["make", "-f", "Vtop.mk", f"-j{jobs}", *toolchain.make_variables()]
    objects = [work / name for name in _objects(toolchain.read([*make, "--dry-run"], work))]

    def watch() -> None:
        told("compiling the simulator, C++ files", sum(path.exists() for path in objects), len(objects))

    watch()
    toolchain.run(make, work, log, watch)

    def keep(partial: Path) -> None:
        for path in (work / name for name in RUNTIME_OBJECTS):
            if path.is_file():
                shutil.copyfile(path, partial / path.name)

    kept(runtime, keep, "keeping Verilator's runtime")


def _objects(commands: str) -> list[str]:
    """Objects and precompiled headers that the commands which make would run are going to give."""
    lines = [line.split() for line in commands.splitlines()]
    named = [words[words.index("-o") + 1] for words in lines if "-o" in words[:-1]]
    from_source = [Path(words[-1]).stem + ".o" for words in lines if words[-2:-1] == ["-c"]]
    return [name for name in [*named, *from_source] if name.endswith((".o", ".gch"))]
