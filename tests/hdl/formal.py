"""Proofs about components with the SAT solver of Yosys."""

import subprocess
import sys
from pathlib import Path

from triovit.hdl.emit.verilog import emit_verilog


def run_yosys(script: str) -> None:
    """Run Yosys' library in a process of its own: it ends the process when a command fails."""
    commands = [line.strip() for line in script.strip().splitlines()]
    program = "import sys; from pyosys import libyosys as y; d = y.Design(); [y.run_pass(c, d) for c in sys.argv[1:]]"
    result = subprocess.run([sys.executable, "-c", program, *commands], capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError((result.stdout + result.stderr)[-2000:])


def prove_never(component, signal: str, folder: Path, *, steps: int, induction: bool = True) -> None:
    """Prove that an output of a component is never high, whatever its inputs do, after one cycle of reset.

    signal: the output's name. steps: cycles; with `induction` the longest history that one step of a proof by temporal
    induction may look at, which holds for all time; without it the proof is about that many cycles after the reset
    alone. Raises RuntimeError ("proof did fail") with Yosys' counterexample.
    """
    emitted = emit_verilog(component, "monitor")
    files = " ".join(str(file) for file in emitted.write(folder))
    search = f"-tempinduct -seq 1 -maxsteps {steps}" if induction else f"-seq {steps} -prove-skip 1"
    run_yosys(
        f"""
        tee -q read_verilog {files}
        tee -q hierarchy -top monitor
        tee -q proc
        tee -q flatten
        tee -q memory -nomap
        tee -q memory_map
        tee -q opt -full
        sat -verify -prove {signal} 0 -set-at 1 rst 1 {search} monitor
        """
    )
