"""Measure again what the estimate of resources is fitted to: `python -m triovit.flow.measurements`, minutes each.

Every configuration of boards/measurements.json is generated and synthesized with Yosys; the file gets the new cells
after each of them, so that an interrupted run has lost one. A further configuration is a record without cells.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from triovit.boards.devices import Family
from triovit.boards.measurements import FILE, records
from triovit.flow.synthesis import synthesize
from triovit.golden.files import whole_file
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.generate import TOP, emit_accelerator

CORE = f"{TOP}_core"


def measure(config: AcceleratorConfig, family: Family) -> dict[str, dict[str, int]]:
    """Cells of the whole design and of one core."""
    with tempfile.TemporaryDirectory() as folder:
        synthesis = synthesize(emit_accelerator(config).write(Path(folder)), family, TOP)
        return {"whole": synthesis.cells(), "core": synthesis.cells(CORE)}


def main() -> int:
    measured = records()
    for number, record in enumerate(measured):
        config = AcceleratorConfig(**record["config"]).validate()
        print(f"{number + 1} of {len(measured)}: {config.name} for {record['family']} ...", flush=True)
        record.update(measure(config, Family(record["family"])))
        with whole_file(FILE) as partial:
            partial.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
