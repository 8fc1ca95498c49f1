"""Multipliers that a configuration can choose from."""

from __future__ import annotations

from triovit.hdl.multiplier.packed import PackedPair
from triovit.hdl.multiplier.pair import MultiplierPair

Pair = MultiplierPair | PackedPair
STYLES: dict[str, type[Pair]] = {"generic": MultiplierPair, "dsp48e2": PackedPair}


def pair_of(style: str) -> type[Pair]:
    """The pair of multipliers of a style. Raises ValueError naming the styles."""
    if style not in STYLES:
        raise ValueError(f"multiplier_style must be one of {', '.join(STYLES)}, not {style!r}")
    return STYLES[style]
