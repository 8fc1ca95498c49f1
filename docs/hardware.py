"""Measure again what docs/results/hardware.md tells of synthesis, timing and placement: `make results`.

Machines and engines are synthesized for UltraScale+ and timed by the model, engines also placed on an ECP5; results go
to docs/results/hardware.json, each as soon as it is there, beside those of an earlier version that they are compared
with. Netlists of unchanged Verilog are kept, so that a second run takes seconds.

  python -m docs.hardware                    everything, minutes for each machine
  python -m docs.hardware R-MAC trio-core    some of it
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from triovit.flow.output import say
from triovit.flow.progress import Update, steps
from triovit.flow.silicon.components import find_class, make
from triovit.flow.silicon.netlist import read_netlist
from triovit.flow.silicon.place_and_route import place_and_route
from triovit.flow.silicon.timing import analyze
from triovit.flow.silicon.usage import usage_tree
from triovit.flow.synthesis import synthesize
from triovit.golden.files import whole_file
from triovit.hdl.config.accelerator import PRESETS
from triovit.hdl.emit.verilog import EmittedVerilog, emit_verilog
from triovit.hdl.generate import TOP, emit_accelerator
from triovit.hdl.technology import GENERIC, ULTRASCALE, Technology

FILE = Path(__file__).parent / "results" / "hardware.json"
CLOCK = 5.0  # ns, of the timing model
ROUTED_MEGAHERTZ = 100.0  # asked of placement
PART = "ecp5-85k"
PATHS, LEVELS = 8, 3


class Engine(NamedTuple):
    """A component by itself: its class, arguments of the constructor, and the technology on UltraScale+."""

    component: str
    words: tuple[str, ...] = ()
    technology: Technology = GENERIC


# The engines of a core of block 8, and its memory of windows in the ECP5's size.
ENGINES = {
    "R-MAC": Engine("triovit.hdl.rmac.engine:RMACEngine", ("8", "8"), ULTRASCALE),
    "MAT": Engine("triovit.hdl.mat.engine:MATEngine", ("8", "8"), ULTRASCALE),
    "post-processing lane": Engine("triovit.hdl.aux.post_lane:PostLane"),
    "layer norm": Engine("triovit.hdl.aux.layer_norm:LayerNorm", ("8",)),
    "window memory": Engine("triovit.hdl.memory.bank_array:BankArray", ("4096", "8", "32", "2")),
}
MACHINES = ("trio-core", "trio-zcu102")


def measure_machine(name: str, folder: Path, update: Update) -> dict:
    """Sums of all modules, and longest paths, of a preset."""
    return _synthesized(emit_accelerator(PRESETS[name]), TOP, folder, update)


def measure_engine(name: str, folder: Path, update: Update) -> dict:
    """The same of one engine, and the clock that it reaches on an ECP5."""
    engine = ENGINES[name]
    kind = find_class(engine.component)
    emitted = emit_verilog(make(kind, engine.words), "engine", technology=engine.technology)
    files = emit_verilog(make(kind, engine.words), "engine").write(folder)
    routed = place_and_route(files, PART, "engine", ROUTED_MEGAHERTZ, update)
    return {
        "component": " ".join((engine.component, *engine.words, "--technology", engine.technology.name)),
        **_synthesized(emitted, "engine", folder, update),
        "place_and_route": routed.report(),
    }


def _synthesized(emitted: EmittedVerilog, top: str, folder: Path, update: Update) -> dict:
    synthesis = synthesize(emitted.write(folder), "xcup", top, progress=update)
    netlist = read_netlist(synthesis.netlist, top)
    timing = analyze(netlist, "xcup", CLOCK, PATHS).report()
    del timing["delays"]
    for path in timing["paths"]:
        del path["steps"]
    return {"modules": _upper(usage_tree(netlist, paired=True).report(), LEVELS), "timing": timing}


def _upper(module: dict, levels: int) -> dict:
    """A module of a report without what lies further down."""
    return module | {"children": [_upper(child, levels - 1) for child in module["children"]] if levels else []}


def main(names: list[str]) -> int:
    """Measure what is named, all without names; exit status 2 for a name of nothing."""
    known: dict[str, Callable[[str, Path, Update], dict]] = dict.fromkeys(ENGINES, measure_engine)
    known |= dict.fromkeys(MACHINES, measure_machine)
    if wrong := [name for name in names if name not in known]:
        say(f"docs.hardware: error: there is no {', '.join(wrong)}; one of {', '.join(known)}")
        return 2
    for name in names or known:
        with tempfile.TemporaryDirectory() as folder, steps(f"measuring {name}") as update:
            measured = known[name](name, Path(folder), update)
        results = json.loads(FILE.read_text(encoding="utf-8"))
        results["now"][name] = measured
        with whole_file(FILE) as partial:
            partial.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        say(f"measured {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
