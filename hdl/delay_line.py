"""Delays of a fixed number of cycles."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, Value


def delayed(m: Module, value, cycles: int, name: str, *, reset: bool = False) -> list[Value]:
    """The value 0, 1, ... `cycles` cycles ago; the last one is usually what is wanted.

    The registers have no reset unless `reset` is true, so that a delay nobody looks into becomes a shift register in
    LUTs. name: of the registers, each with its number of cycles behind it.
    """
    taps = [value]
    for cycle in range(1, cycles + 1):
        register = Signal(taps[0].shape(), name=f"{name}_{cycle}", reset_less=not reset)
        m.d.sync += register.eq(taps[-1])
        taps.append(register)
    return taps
