"""Measure again what the estimate of resources is fitted to: `python -m triovit.flow.measurements`, minutes each.

Each part of each configuration in boards/measurements.json is generated and synthesized with Yosys, a core and what
exists once apart: that takes half the time of a whole machine. The file gets the new cells after each of them, so that
an interrupted run has lost one, and what is unchanged is not synthesized again. A further configuration is a record
without cells, `"parts": {"core": {}, "shared": {}}`, or just its core.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from triovit.boards.devices import Family
from triovit.boards.measurements import CORE, FILE, records
from triovit.flow.synthesis import synthesize
from triovit.golden.files import whole_file
from triovit.hdl.compute.core import Core
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.emit.verilog import emit_verilog
from triovit.hdl.generate import TOP, emit_accelerator
from triovit.hdl.technology import TECHNOLOGIES

CORE_MODULE = f"{TOP}_core"


def measure(config: AcceleratorConfig, family: Family, part: str) -> dict[str, int]:
    """Cells of a core, or of what exists once: of the machine without its cores."""
    with tempfile.TemporaryDirectory() as folder:
        if part == CORE:
            core = emit_verilog(Core(config), CORE, technology=TECHNOLOGIES[config.technology])
            return synthesize(core.write(Path(folder)), family, CORE).cells()
        files = emit_accelerator(config).write(Path(folder))
        cells = synthesize(files, family, TOP, without=CORE_MODULE).cells()
    assert cells.pop(CORE_MODULE) == config.cores
    return cells


def main() -> int:
    measured = records()
    for number, record in enumerate(measured):
        config = AcceleratorConfig(**record["config"]).validate()
        for part in record["parts"]:
            print(f"{number + 1} of {len(measured)}: {config.name} for {record['family']}, {part} ...", flush=True)
            record["parts"][part] = measure(config, Family(record["family"]), part)
            with whole_file(FILE) as partial:
                partial.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
