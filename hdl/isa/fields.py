"""A field of a packed word: of an instruction or of a post-processing record."""

from __future__ import annotations

from typing import NamedTuple


class Field(NamedTuple):
    """`bits` bits of a word, two's complement when `signed`; fields follow each other from bit 0 upwards."""

    name: str
    bits: int
    text: str
    signed: bool = False

    @property
    def lowest(self) -> int:
        """Smallest value."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def highest(self) -> int:
        """Largest value."""
        return (1 << (self.bits - self.signed)) - 1


def positions(fields: tuple[Field, ...]) -> dict[str, int]:
    """Lowest bit of each field."""
    found, position = {}, 0
    for field in fields:
        found[field.name] = position
        position += field.bits
    return found


def total_bits(fields: tuple[Field, ...]) -> int:
    """Bits of all fields together."""
    return sum(field.bits for field in fields)
