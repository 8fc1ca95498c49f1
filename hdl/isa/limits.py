"""How much of each buffer an instruction can address: what bounds the sizes of a configuration."""

from __future__ import annotations

from typing import NamedTuple

from triovit.hdl.isa.instructions import FIELD_BITS
from triovit.hdl.isa.record import RECORD_BYTES


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
    "divisor": (Reach("cols"),),  # a code is addressed by its token's number, and the tokens of a map are one row
}
"""The fields that address each buffer of `AcceleratorConfig.words`."""


def reach(buffer: str) -> Reach:
    """The field that addresses the least of a buffer, and so bounds its size."""
    return min(REACHES[buffer], key=lambda reach: reach.words)
