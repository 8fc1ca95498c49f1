"""Lint with Verilator and hierarchical synthesis with Yosys of generated Verilog."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from flow.errors import UsageError
from hdl.generate import TOP
from sim.toolchain import ToolchainError, environment, verilator_root

FAMILIES = ("generic", "xilinx", "ecp5")
COMMANDS = {
    "generic": f"synth -top {TOP}",
    "xilinx": f"synth_xilinx -family xcup -top {TOP}",
    "ecp5": f"synth_ecp5 -top {TOP}",
}


def lint(files: list[Path]) -> list[str]:
    """Warnings and errors of `verilator --lint-only`, one line each."""
    command = [str(verilator_root() / "bin" / "verilator"), "--lint-only", "--top-module", TOP, *map(str, files)]
    result = subprocess.run(command, capture_output=True, text=True, env=environment())
    lines = [line for line in result.stderr.splitlines() if line.startswith("%")]
    return lines or ([f"verilator ended with code {result.returncode}"] if result.returncode else [])


def synthesize(files: list[Path], family: str, log: Path) -> dict[str, int]:
    """Cells of the whole design by type after Yosys' synthesis, hierarchy kept; the log goes to a file.

    Yosys runs in a process of its own. Raises ToolchainError with the log's last line when it fails.
    """
    if family not in FAMILIES:
        raise UsageError(f"synthesis must be for one of {', '.join(FAMILIES)}, not {family!r}")
    netlist = log.with_suffix(".stat.json")
    script = [f"read_verilog {' '.join(str(f) for f in files)}", COMMANDS[family], f"tee -q -o {netlist} stat -json"]
    program = (
        "import sys; from pyosys import libyosys as ys; design = ys.Design(); "
        "[ys.run_pass(command, design) for command in sys.argv[1:]]"
    )
    with log.open("w") as output:
        result = subprocess.run([sys.executable, "-c", program, *script], stdout=output, stderr=subprocess.STDOUT)
    if result.returncode:
        tail = log.read_text().strip().splitlines()
        raise ToolchainError(f"Yosys failed ({log}): {tail[-1] if tail else 'no output'}")
    return _count(json.loads(netlist.read_text()), TOP)


def _count(statistics: dict, top: str) -> dict[str, int]:
    """Leaf cells of a design from Yosys' statistics a module."""
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
