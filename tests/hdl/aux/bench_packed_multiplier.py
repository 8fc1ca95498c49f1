"""cocotb: PackedMultiplier against MultiplierPair in every cycle, and both against the model."""

from functools import cache
from itertools import product

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge

from tests.hdl.aux.kernels import PATTERNS
from triovit.hdl.aux.packed_multiplier import MultiplierPair, PackedMultiplier
from triovit.sim.bench import pack, stall_patterns, start, unpack

LATENCY = 2
CORNERS = (-128, -127, -1, 0, 1, 126, 127)


@cache
def operands():
    corners = np.array(list(product(CORNERS, repeat=3)))
    drawn = np.random.default_rng(5).integers(-128, 128, (1500, 3))
    return np.concatenate([corners, drawn])[np.random.default_rng(6).permutation(len(corners) + 1500)]


@cocotb.test()
@cocotb.parametrize(stall=PATTERNS)
async def values_and_cycles(dut, stall):
    twin = MultiplierPair()
    i_layout, o_layout = twin.signature.members["i"].shape, twin.signature.members["o"].shape
    triples = operands().tolist()
    products = np.stack(MultiplierPair.model(*operands().T), axis=-1).tolist()
    assert PackedMultiplier.latency == MultiplierPair.latency == LATENCY
    stalled = stall_patterns(9)[stall]
    await start(dut)
    line = [None] * LATENCY  # what the registers hold
    for (a1, a0, b), right in zip(triples, products, strict=True):
        enabled = not stalled()
        dut.i.value = pack(i_layout, {"a1": a1, "a0": a0, "b": b})
        dut.en.value = int(enabled)
        await ReadOnly()
        if line[-1] is not None:
            assert dut.packed.value == dut.pair.value
            assert unpack(o_layout, int(dut.packed.value)) == dict(zip(("p1", "p0"), line[-1], strict=True))
        await RisingEdge(dut.clk)
        if enabled:
            line = [right, *line[:-1]]
