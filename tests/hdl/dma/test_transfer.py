"""From instructions to bursts: the documented cycles, and the stop at an error of the bus."""

import pytest
from amaranth.sim import Simulator

from tests.hdl.dma.test_runs import word_of
from triovit.hdl.config.accelerator import PRESETS
from triovit.hdl.dma.transfer import Transfer
from triovit.hdl.isa.names import ErrorCode, Opcode

CONFIG = PRESETS["trio-tiny"]
FIELDS = {"words": 2, "rows": 1, "planes": 1}  # a run of one beat, which is one burst


def bursts(opcode, count, answer=None):
    """Cycles in which instructions were taken and bursts came; answer: the cycle in which the bus reports an error."""
    dut, taken, came, errors = Transfer(CONFIG, opcode), [], [], []

    async def bench(ctx):
        ctx.set(dut.memory.size, 1 << 24)
        ctx.set(dut.o.ready, 1)
        for cycle in range(count + 20):
            ctx.set(dut.i.valid, len(taken) < count)
            ctx.set(dut.i.payload.word, word_of(opcode, FIELDS | {"memory": 64 * len(taken)}))
            ctx.set(dut.response.valid, cycle == answer)
            ctx.set(dut.response.code, ErrorCode.READ_SLVERR)
            if ctx.get(dut.error.valid):
                errors.append((cycle, ErrorCode(ctx.get(dut.error.code))))
            if ctx.get(dut.i.valid) and ctx.get(dut.i.ready):
                taken.append(cycle)
            if ctx.get(dut.o.valid):
                came.append(cycle)
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-8)
    sim.add_testbench(bench)
    sim.run()
    return taken, came, errors


@pytest.mark.parametrize("opcode", [Opcode.LOAD, Opcode.STORE])
def test_cycles(opcode):
    taken, came, errors = bursts(opcode, 8)
    assert Transfer.latency == 3 and came[0] == taken[0] + Transfer.latency
    assert came == list(range(came[0], came[0] + 16, 2)) and not errors


def test_nothing_follows_an_error_of_the_bus():
    _, undisturbed, _ = bursts(Opcode.LOAD, 8)
    _, came, errors = bursts(Opcode.LOAD, 8, answer=undisturbed[3])
    assert errors == [(undisturbed[3], ErrorCode.READ_SLVERR)]
    assert came[:3] == undisturbed[:3] and max(came) <= undisturbed[4]
