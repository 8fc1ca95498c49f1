"""Tables of what configurations take of FPGAs, and of boards."""

from __future__ import annotations

from docs.tables.markdown import code, table
from triovit.boards.devices import BOARDS, Family
from triovit.boards.estimate import can_build, deviation, estimate
from triovit.boards.fit import fit
from triovit.boards.measurements import measurements
from triovit.boards.memories import all_memory_luts
from triovit.hdl.config.accelerator import PRESETS

NAMES = {Family.XILINX: "Xilinx", Family.ECP5: "ECP5"}


def _number(value: float) -> int | str:
    return int(value) if value == int(value) else str(value)


def _percent(share: float) -> str:
    """A deviation; what rounds to nothing has no sign."""
    return f"{share:+.1%}".replace("%", " %") if abs(share) >= 0.0005 else "0.0 %"


def estimates() -> str:
    """Estimates of the presets, where their multipliers can be built."""
    return table(
        ("configuration", "FPGA", "LUT:", "of them memory:", "FF:", "DSP:", "block RAM:"),
        (
            (code(name), NAMES[family], found.lut, all_memory_luts(config, family), *map(_number, found[1:]))
            for name, config in PRESETS.items()
            for family in Family
            if can_build(config, family)
            for found in (estimate(config, family),)
        ),
    )


def measured() -> str:
    """What the estimate is fitted to, and by how much it misses."""

    def row(family: Family, measurement) -> tuple:
        config, off = measurement.config, deviation(measurement, family)
        lut, ff, dsp, ram = map(_number, measurement.resources)
        return (
            NAMES[family],
            "machine" if measurement.whole else "core",
            config.block,
            config.cores,
            config.data_bytes,
            code(config.technology),
            config.norm_lanes,
            lut,
            _percent(off.lut),
            ff,
            _percent(off.ff),
            dsp,
            ram,
        )

    sizes = ("block:", "cores:", "bus:", "technology", "norm lanes:")
    found = ("LUT:", "estimate:", "FF:", "estimate:", "DSP:", "block RAM:")
    headings = ("FPGA", "part", *sizes, *found)
    return table(headings, (row(family, one) for family in Family for one in measurements(family)))


def boards() -> str:
    """Boards, what their FPGAs have, and whether the presets fit."""

    def row(board) -> tuple:
        fits = (fit(config, board) for config in PRESETS.values())
        cells = (f"{found.verdict}: {found.text}" for found in fits)
        return board.name, f"{board.device} ({board.source})", *map(_number, board.has), *cells

    headings = ("board", "FPGA (data sheet)", "LUT:", "FF:", "DSP:", "block RAM:", *(f"`{name}`" for name in PRESETS))
    return table(headings, map(row, BOARDS))


CONTENTS = {"resources of the presets": estimates, "measured resources": measured, "boards": boards}
