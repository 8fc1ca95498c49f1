"""Shared by the benches of components without a stream: drive every input in every cycle, compare every output."""

from __future__ import annotations

from cocotb.triggers import ReadOnly, RisingEdge

from triovit.sim.bench import pack, start, unpack


async def compare_cycles(dut, component, reference, cycles, *, settle: int):
    """Drive `cycles`, a dict of input values each. `reference(inputs)` returns the outputs of the cycle and advances.

    The registers have no reset: outputs are compared from cycle `settle` on, by which the inputs must have filled them.
    """
    members = component.signature.members
    await start(dut)
    for number, inputs in enumerate(cycles):
        for name, value in inputs.items():
            getattr(dut, name).value = pack(members[name].shape, value)
        await ReadOnly()
        for name, value in reference(inputs).items():
            if number >= settle:
                observed = unpack(members[name].shape, getattr(dut, name).value)
                assert observed == value, f"cycle {number}: {name} is {observed}, reference {value}"
        await RisingEdge(dut.clk)


def wrap(value, bits: int = 32):
    """Two's complement of `bits` bits, of an integer or an array."""
    half = 1 << (bits - 1)
    return (value + half) % (2 * half) - half
