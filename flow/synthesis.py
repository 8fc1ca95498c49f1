"""Lint with Verilator and hierarchical synthesis with Yosys of generated Verilog."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from triovit.flow.errors import UsageError
from triovit.sim.toolchain import ToolchainError, environment, verilator_root

# All keep the hierarchy, so that each kind of module is synthesized once. No pads: the design is a part of a chip.
COMMANDS = {
    "generic": "synth",
    "xilinx": "synth_xilinx -family xcup -noiopad -noclkbuf",
    "ecp5": "synth_ecp5 -noflatten",
}
DEVICES = tuple(COMMANDS)
ERROR = re.compile(r"(\S+:\d+: )?ERROR: ")  # of a file's line, or of the design


def lint(files: list[Path], top: str) -> list[str]:
    """Warnings and errors of `verilator --lint-only`, one line each."""
    command = [str(verilator_root() / "bin" / "verilator"), "--lint-only", "--top-module", top, *map(str, files)]
    result = subprocess.run(command, capture_output=True, text=True, env=environment())
    lines = [line for line in result.stderr.splitlines() if line.startswith("%")]
    return lines or ([f"verilator ended with code {result.returncode}"] if result.returncode else [])


def synthesize(files: list[Path], device: str, log: Path, top: str) -> dict[str, int]:
    """Cells of the whole design by type after Yosys' synthesis, hierarchy kept; the log goes to a file beside them.

    Yosys runs in a process of its own. Raises ToolchainError with Yosys' error when it fails.
    """
    if device not in DEVICES:
        raise UsageError(f"synthesis must be for one of {', '.join(DEVICES)}, not {device!r}")
    netlist = netlist_of(log)
    # Names relative to the folder: Yosys splits its commands at blanks.
    script = [
        f"read_verilog {' '.join(file.name for file in files)}",
        f"{COMMANDS[device]} -top {top}",
        f"tee -q -o {netlist.name} stat -json",
    ]
    program = (
        "import sys; from pyosys import libyosys as ys; design = ys.Design(); "
        "[ys.run_pass(command, design) for command in sys.argv[1:]]"
    )
    command = [sys.executable, "-c", program, *script]
    with log.open("w", encoding="utf-8") as output:
        result = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, cwd=log.parent)
    if result.returncode:
        raise ToolchainError(f"Yosys failed ({log}): {_fault(log.read_text(encoding='utf-8', errors='replace'))}")
    return count_cells(json.loads(netlist.read_text(encoding="utf-8")), top)


def _fault(log: str) -> str:
    """The line of Yosys' error; without one (Python could not start it) the last line.

    Other lines may follow the error: Yosys writes to two streams, each with a buffer of its own.
    """
    lines = log.strip().splitlines() or ["no output"]
    return next((line for line in lines if ERROR.match(line)), lines[-1])


def netlist_of(log: Path) -> Path:
    """Yosys' statistics of each module, a file beside the log."""
    return log.with_suffix(".stat.json")


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
