"""Lint with Verilator and hierarchical synthesis with Yosys of generated Verilog."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from triovit.flow.errors import UsageError
from triovit.golden.files import whole_file
from triovit.sim.cache import Progress, build_root, content_key, kept
from triovit.sim.processes import child
from triovit.sim.toolchain import ToolchainError, command, enter, environment

# All keep the hierarchy, so that each kind of module is synthesized once. No pads: the design is a part of a chip.
COMMANDS = {
    "generic": "synth",
    "xcup": "synth_xilinx -family xcup -noiopad -noclkbuf",
    "ecp5": "synth_ecp5 -noflatten",
    "ecp5-flat": "synth_ecp5",  # for placement: one module
}
ALIASES = {"xilinx": "xcup"}  # what measurements and estimates are called by: 7-series counts in the same cells
ECP5_FLAT = "ecp5-flat"
DEVICES = ("generic", "xcup", "ecp5", *ALIASES)  # that people synthesize for
CELLS, NETLIST = "cells.json", "netlist.json"  # of a synthesis that is kept
RTLIL = re.compile(r"Generating RTLIL representation for module `\\(\S+)'")  # every module of the design, once
PASS = re.compile(r"\d+\.(\d+)\. Executing (\S+)")  # of the synthesis script; a pass within a pass has another number
MODULE = re.compile(r"\w+")
READING = "reading"  # the design, before the first pass
ERROR = re.compile(r"(\S+:\d+: )?ERROR: ")  # of a file's line, or of the design


def lint(files: list[Path], top: str) -> list[str]:
    """Warnings and errors of `verilator --lint-only`, one line each."""
    with tempfile.TemporaryDirectory(prefix="lint-") as name:
        work = Path(name)
        enter(work)
        for file in files:
            (work / file.name).symlink_to(file.absolute())
        words = command(["verilator", "--lint-only", "--top-module", top, *(file.name for file in files)])
        with child(words, cwd=work, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            printed = process.communicate()[0].decode(errors="replace")
    lines = [line for line in printed.splitlines() if line.startswith("%")]
    return lines or ([f"verilator ended with code {process.returncode}"] if process.returncode else [])


@dataclass(frozen=True)
class Synthesis:
    """Netlist of a design after Yosys' synthesis, hierarchy kept; its files stay in the folder of builds.

    log: of Yosys. netlist: JSON of `write_json`. statistics: JSON of `stat`, each kind of module by itself.
    """

    device: str
    top: str
    folder: Path

    @property
    def log(self) -> Path:
        return self.folder / "synthesis.log"

    @property
    def netlist(self) -> Path:
        return self.folder / NETLIST

    @property
    def statistics(self) -> Path:
        return self.folder / CELLS

    def cells(self, module: str | None = None) -> dict[str, int]:
        """Leaf cells of a kind of module and all below it (default: of the whole design), by type."""
        return count_cells(json.loads(self.statistics.read_text(encoding="utf-8")), module or self.top)


def synthesize(
    files: list[Path],
    device: str,
    top: str,
    log: Path | None = None,
    progress: Progress | None = None,
    *,
    without: str = "",
) -> Synthesis:
    """Synthesize a design with Yosys, in a process of its own, unless the folder of builds has it.

    log: gets a copy of Yosys' log when it has ended, also of a synthesis that fails. progress: called twice a second.
    without: a module that is left out, with all that only it is made of: its instances count as cells of that type.
    Raises UsageError for another device than DEVICES, and ToolchainError with Yosys' error when it fails.
    """
    if device not in (*DEVICES, ECP5_FLAT):
        raise UsageError(f"synthesis must be for one of {', '.join(DEVICES)}, not {device!r}")
    device = ALIASES.get(device, device)
    version = importlib.metadata.version("pyosys")
    omitted = [without] if without else []
    key = content_key(version, COMMANDS[device], top, *omitted, *(part for file in files for part in (file.name, file)))
    result = Synthesis(device, top, build_root() / "synthesis" / f"{device}-{key}")
    sources = [file.resolve() for file in files]
    kept(
        result.folder,
        lambda partial: _run(sources, Synthesis(device, top, partial), without, log, progress),
        f"synthesizing {top} for {device}",
        progress,
    )
    if log is not None:
        with whole_file(log) as partial:
            shutil.copyfile(result.log, partial)
    return result


def _run(sources: list[Path], result: Synthesis, without: str, log: Path | None, progress: Progress | None) -> None:
    """Write the log, statistics and netlist of a synthesis into its folder."""
    told = progress or (lambda label, done, total: None)
    for source in sources:  # Yosys splits its commands at blanks
        (result.folder / source.name).symlink_to(source)
    script = [
        f"read_verilog {' '.join(source.name for source in sources)}",
        *([f"blackbox {without}"] if without else []),
        f"{COMMANDS[result.device]} -top {result.top}",
        f"tee -q -o {CELLS} stat -json",
        f"write_json {NETLIST}",
    ]
    program = (
        "import sys; from pyosys import libyosys as ys; design = ys.Design(); "
        "[ys.run_pass(command, design) for command in sys.argv[1:]]"
    )
    words = [sys.executable, "-u", "-c", program, *script]
    stage = Stage(result.log)
    with (
        result.log.open("w", encoding="utf-8") as output,
        child(words, stdout=output, stderr=subprocess.STDOUT, cwd=result.folder) as process,
    ):
        while process.poll() is None:
            told(f"Yosys ({result.device}), {stage.look()}", 0, 0)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.5)
    for source in sources:
        (result.folder / source.name).unlink()
    if process.returncode:
        printed = result.log.read_text(encoding="utf-8", errors="replace")
        if log is not None:
            log.write_text(printed, encoding="utf-8")
        raise ToolchainError(f"Yosys failed{f' ({log})' if log else ''}: {_fault(printed)}")


class Stage:
    """Where a synthesis is, by its log: the pass, and how many modules of the design it has come to."""

    def __init__(self, log: Path):
        self._log, self._read = log, 0
        self._pass = READING
        self._modules: set[str] = set()  # of the design
        self._visited: dict[str, None] = {}  # by this pass, in order

    def look(self) -> str:
        """'pass 47 ABC9, module 14 of 57 (triovit_rmac_array)'."""
        with self._log.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.decode(errors="replace").splitlines():
            self._line(line)
        if not self._visited:
            return self._pass
        return f"{self._pass}, module {len(self._visited)} of {len(self._modules)} ({list(self._visited)[-1]})"

    def _line(self, line: str) -> None:
        if found := RTLIL.match(line):
            if self._pass == READING:  # later ones are models of the chip's cells
                self._modules.add(found[1])
        elif found := PASS.match(line):
            self._pass, self._visited = f"pass {found[1]} {found[2]}", {}
        else:
            named = [name for name in MODULE.findall(line) if name in self._modules]
            self._visited |= dict.fromkeys(named)


def _fault(log: str) -> str:
    """The line of Yosys' error; without one (Python could not start it) the last line.

    Other lines may follow the error: Yosys writes to two streams, each with a buffer of its own.
    """
    lines = log.strip().splitlines() or ["no output"]
    return next((line for line in lines if ERROR.match(line)), lines[-1])


def count_cells(statistics: dict, top: str) -> dict[str, int]:
    """Leaf cells of a module and all below it, from Yosys' statistics of each module."""
    modules = {name.lstrip("\\"): module["num_cells_by_type"] for name, module in statistics["modules"].items()}
    cached: dict[str, Counter] = {}

    def cells(module: str) -> Counter:
        if module not in cached:
            total = Counter()
            for name, count in modules[module].items():
                child = name.lstrip("\\")
                if child in modules:
                    for leaf, number in cells(child).items():
                        total[leaf] += count * number
                else:
                    total[child] += count
            cached[module] = total
        return cached[module]

    return dict(cells(top))
