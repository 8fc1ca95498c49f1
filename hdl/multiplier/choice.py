"""Which pair of multipliers a technology has."""

from __future__ import annotations

from triovit.hdl.multiplier.packed import PackedPair
from triovit.hdl.multiplier.pair import MultiplierPair
from triovit.hdl.technology import technology_of

Pair = MultiplierPair | PackedPair


def pair_of(platform) -> type[Pair]:
    """The pair of multipliers of the technology that `elaborate(platform)` was given."""
    return PackedPair if technology_of(platform).dsp48e2 else MultiplierPair
