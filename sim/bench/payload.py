"""Integers of a payload port and the Python values they stand for, by an Amaranth layout."""

from __future__ import annotations

from amaranth.hdl import Shape
from amaranth.lib import data


def _fields(layout):
    return dict(iter(layout))


def width_of(layout) -> int:
    """Bits of a layout or shape."""
    return Shape.cast(layout).width


def pack(layout, value) -> int:
    """The bits of `value` under `layout`, as a non-negative integer.

    layout: an Amaranth shape or `data.Layout`, nested at will. value: an integer for a shape, a mapping for a
    struct (every field must be given), a sequence for an array; NumPy arrays and integers are welcome. Raises
    OverflowError when an integer does not fit its field, KeyError or ValueError when the structure differs.
    """
    if isinstance(layout, data.ArrayLayout):
        if len(value) != layout.length:
            raise ValueError(f"array of {layout.length} elements expected, not {len(value)}")
        items = enumerate(value)
    elif isinstance(layout, data.Layout):
        if unknown := set(value) - set(_fields(layout)):
            raise KeyError(f"fields {sorted(map(str, unknown))} are not in {layout!r}")
        items = value.items()
        if not isinstance(layout, data.UnionLayout) and len(value) != len(_fields(layout)):
            raise KeyError(f"fields {sorted(map(str, set(_fields(layout)) - set(value)))} are missing")
    else:
        shape, value = Shape.cast(layout), int(value)
        low = -(1 << (shape.width - 1)) if shape.signed and shape.width else 0
        high = (1 << (shape.width - shape.signed)) - 1 if shape.width else 0
        if not low <= value <= high:
            raise OverflowError(f"{value} does not fit {shape!r}")
        return value & ((1 << shape.width) - 1)
    bits, fields = 0, _fields(layout)
    for key, item in items:
        field = fields[key]
        bits |= pack(field.shape, item) << field.offset
    return bits


def unpack(layout, bits: int):
    """The inverse of `pack`: an integer, a dict for a struct (or union), a list for an array."""
    bits = int(bits) & ((1 << width_of(layout)) - 1)
    if isinstance(layout, data.ArrayLayout):
        return [unpack(field.shape, bits >> field.offset) for _, field in layout]
    if isinstance(layout, data.Layout):
        return {key: unpack(field.shape, bits >> field.offset) for key, field in layout}
    shape = Shape.cast(layout)
    return bits - (1 << shape.width) if shape.signed and shape.width and bits >> (shape.width - 1) else bits


def random_value(layout, random, corners: float = 0.3):
    """A legal random value of `layout` for `pack`; a share `corners` of the integers is at or next to a limit.

    random: a seeded `random.Random`.
    """
    if isinstance(layout, data.ArrayLayout):
        return [random_value(field.shape, random, corners) for _, field in layout]
    if isinstance(layout, data.Layout):
        return {key: random_value(field.shape, random, corners) for key, field in layout}
    shape = Shape.cast(layout)
    if not shape.width:
        return 0
    low = -(1 << (shape.width - 1)) if shape.signed else 0
    high = (1 << (shape.width - shape.signed)) - 1
    if random.random() < corners:
        return min(high, max(low, random.choice((low, low + 1, -1, 0, 1, high - 1, high))))
    return random.randint(low, high)
