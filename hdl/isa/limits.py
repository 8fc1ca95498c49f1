"""How far the fields of the instructions go: what bounds the sizes of a configuration and the counts of a program."""

from __future__ import annotations

from typing import NamedTuple

from triovit.hdl.isa.instructions import FIELD_BITS, LAYOUTS
from triovit.hdl.isa.record import RECORD_BYTES

HIGHEST = {field.name: field.highest for fields in LAYOUTS.values() for field in fields}
"""Largest value of each field."""


class Reach(NamedTuple):
    """An instruction field that addresses a buffer, and the words that one step of it passes over."""

    field: str
    step: int = 1

    @property
    def words(self) -> int:
        """Words that the field can tell apart, times its step."""
        return self.step << FIELD_BITS[self.field]


REACHES = {
    "A": (Reach("local"), Reach("in_base"), Reach("in_value"), Reach("out_base")),
    "O": (Reach("local"), Reach("in_base"), Reach("out_base")),
    "B": (Reach("local"), Reach("weights")),
    "C": (Reach("local"), Reach("weights")),
    "P": (Reach("local"), Reach("parameters", RECORD_BYTES)),  # a channel block's records fill as many words
    "K": (Reach("weights"), Reach("attention")),
    "divisor": (Reach("cols"),),  # a code is addressed by its token's number, which counts one row or several
}
"""The fields that address each buffer of `AcceleratorConfig.words`."""


def reach(buffer: str) -> Reach:
    """The field that addresses the least of a buffer, and so bounds its size."""
    return min(REACHES[buffer], key=lambda reach: reach.words)
