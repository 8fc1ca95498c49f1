"""Tables of what configurations take of FPGAs, and of boards."""

from __future__ import annotations

from docs.tables.markdown import code, table
from triovit.boards.devices import BOARDS, Family
from triovit.boards.estimate import deviation, estimate
from triovit.boards.fit import fit
from triovit.boards.measurements import measurements
from triovit.hdl.config.accelerator import PRESETS

NAMES = {Family.XILINX: "Xilinx", Family.ECP5: "ECP5"}


def _number(value: float) -> int | str:
    return int(value) if value == int(value) else str(value)


def _percent(share: float) -> str:
    """A deviation; what rounds to nothing has no sign."""
    return f"{share:+.1%}".replace("%", " %") if abs(share) >= 0.0005 else "0.0 %"


def estimates() -> str:
    """Estimates of the presets."""
    return table(
        ("configuration", "FPGA", "LUT:", "FF:", "DSP:", "block RAM:"),
        (
            (code(name), NAMES[family], *map(_number, estimate(config, family)))
            for name, config in PRESETS.items()
            for family in Family
        ),
    )


def measured() -> str:
    """What the estimate is fitted to, and by how much it misses."""

    def row(family: Family, measurement) -> tuple:
        config, off = measurement.config, deviation(measurement, family)
        lut, ff, dsp, ram = map(_number, measurement.whole)
        return (
            NAMES[family],
            config.block,
            config.cores,
            config.data_bytes,
            lut,
            _percent(off.lut),
            ff,
            _percent(off.ff),
            dsp,
            ram,
        )

    headings = ("FPGA", "block:", "cores:", "bus:", "LUT:", "estimate:", "FF:", "estimate:", "DSP:", "block RAM:")
    return table(headings, (row(family, one) for family in Family for one in measurements(family)))


def boards() -> str:
    """Boards, what their FPGAs have, and whether the presets fit."""

    def row(board) -> tuple:
        fits = (fit(config, board) for config in PRESETS.values())
        cells = (f"{found.verdict}: {found.scarcest} {found.share:.0%}".replace("%", " %") for found in fits)
        return board.name, f"{board.device} ({board.source})", *map(_number, board.has), *cells

    headings = ("board", "FPGA (data sheet)", "LUT:", "FF:", "DSP:", "block RAM:", *(f"`{name}`" for name in PRESETS))
    return table(headings, map(row, BOARDS))


CONTENTS = {"resources of the presets": estimates, "measured resources": measured, "boards": boards}
