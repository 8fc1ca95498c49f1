import random

import pytest
from amaranth.sim import Simulator

from triovit.hdl.control.queue import UnitQueue
from triovit.hdl.isa.instructions import Instruction
from triovit.hdl.isa.names import Opcode

HEADER_WAIT_OFFSET = 24  # bits: opcode 8, tag 16


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_random(depth):
    """Order, semaphores and capacity against a model, with random stalls, availability and halts."""
    dut, generator = UnitQueue(depth), random.Random(depth)
    words = [
        int.from_bytes(
            Instruction(
                Opcode.LOAD, {"words": k + 1, "rows": 1, "planes": 1, "wait": generator.getrandbits(32)}
            ).encode(),
            "little",
        )
        for k in range(150)
    ]
    model, sent, got = [], 0, []

    async def bench(ctx):
        nonlocal sent
        while len(got) < len(words):
            offer, ready = sent < len(words) and generator.random() < 0.6, generator.random() < 0.6
            available, halt = generator.random() < 0.6, generator.random() < 0.1
            ctx.set(dut.i.valid, offer)
            if offer:
                ctx.set(dut.i.payload.word, words[sent])
                ctx.set(dut.i.payload.index, 1000 + sent)
            ctx.set(dut.o.ready, ready)
            ctx.set(dut.available, available)
            ctx.set(dut.halt, halt)
            assert ctx.get(dut.i.ready) == (len(model) < depth)
            assert ctx.get(dut.empty) == (not model)
            assert ctx.get(dut.wait) == (words[model[0]] >> HEADER_WAIT_OFFSET & 0xFFFFFFFF if model else 0)
            valid = bool(model) and available and not halt
            assert ctx.get(dut.o.valid) == valid
            assert ctx.get(dut.take) == (valid and ready)
            if valid:
                assert ctx.get(dut.o.payload.word) == words[model[0]]
                assert ctx.get(dut.o.payload.index) == 1000 + model[0]
            accepted = offer and len(model) < depth
            await ctx.tick()
            if valid and ready:
                got.append(model.pop(0))
            if accepted:
                model.append(sent)
                sent += 1

    sim = Simulator(dut)
    sim.add_clock(1e-8)
    sim.add_testbench(bench)
    sim.run()
    assert got == list(range(len(words)))
    assert UnitQueue.latency == 1  # which the model above has


@pytest.mark.parametrize(
    "depth, error, text",
    [
        (1, ValueError, "depth must be 2..64, not 1"),
        (65, ValueError, "depth must be 2..64, not 65"),
        ("4", TypeError, "depth must be an integer, not '4'"),
    ],
)
def test_parameters(depth, error, text):
    with pytest.raises(error, match=text):
        UnitQueue(depth)
