"""The on-chip memories of a configuration: how many words in how many banks, and how many of them at once.

The hardware is built from this table, and so are the estimate of its block RAMs and the documentation.
"""

from __future__ import annotations

from typing import NamedTuple

from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.isa.engines import Space
from triovit.hdl.isa.record import RECORD_BYTES


class Banks(NamedTuple):
    """A buffer: words, RAMs, bits of a word, words of a write and of a read; style: of its RAMs."""

    words: int
    banks: int
    word_bits: int
    write_width: int
    read_width: int
    style: str = "auto"


SHALLOW = 64
"""Most rows that K has in LUT RAM: more take fewer LUTs in block RAMs, even if those stay nearly empty."""

SHARED = (Space.B, Space.C, Space.P)
"""Buffers that exist once; each core has the others."""


def buffers(config: AcceleratorConfig) -> dict[Space, Banks]:
    """Each buffer of a core, and those that the cores share. The divisor buffer is a single RAM."""
    block, beat, banks = config.block, config.beat_words, config.banks
    # LOAD writes a core's buffer from the core's port, a shared one from all ports at once.
    bits, bus = 8 * block, config.bus_words
    weights = Banks(config.weight_words, banks["B"], bits, bus, block)
    style = "distributed" if config.attention_words // banks["K"] <= SHALLOW else "auto"
    return {
        Space.A: Banks(config.feature_words, banks["A"], bits, beat, block),
        Space.O: Banks(config.output_words, banks["O"], bits, beat, beat),
        Space.B: weights,
        Space.C: weights,
        Space.P: Banks(config.parameter_words, banks["P"], bits, bus, RECORD_BYTES),
        Space.K: Banks(config.attention_words, banks["K"], bits, 1, block, style=style),
        Space.DIVISOR: Banks(config.divisors, banks["divisor"], 4, 1, 1),
    }


def copies(space: Space, config: AcceleratorConfig) -> int:
    """How often a buffer exists."""
    return 1 if space in SHARED else config.cores
