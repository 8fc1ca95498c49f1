"""The queue against a model, and a proof that what it offers stays."""

import random

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from tests.hdl.formal import prove_never
from triovit.hdl.control.queue import UnitQueue
from triovit.hdl.isa.instructions import Instruction
from triovit.hdl.isa.layouts import ISSUED
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
            ctx.set(dut.semaphores.available, available)
            ctx.set(dut.halt, halt)
            assert ctx.get(dut.i.ready) == (len(model) < depth)
            assert ctx.get(dut.empty) == (not model)
            if model:
                assert ctx.get(dut.semaphores.wait) == words[model[0]] >> HEADER_WAIT_OFFSET & 0xFFFFFFFF
            valid = bool(model) and available and not halt
            assert ctx.get(dut.o.valid) == valid
            assert ctx.get(dut.semaphores.take) == (valid and ready)
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


class Monitor(wiring.Component):
    """A queue, and `broken`: its offer of the cycle before is gone or another one without a transfer or `halt`.

    available: as `Semaphores` answers where a semaphore has one taker, that is, once high it stays until the transfer.
    With `several` takers it is free. payload: whether the offer's payload counts.
    """

    def __init__(self, depth: int, payload: bool, several: bool = False):
        self.depth, self.payload, self.several = depth, payload, several
        super().__init__(
            {
                "i": In(stream.Signature(ISSUED)),
                "ready": In(1),
                "halt": In(1),
                "available": In(1),
                "broken": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = UnitQueue(self.depth)
        wiring.connect(m, wiring.flipped(self.i), queue.i)
        offered, given, before = Signal(), Signal(), Signal(ISSUED)
        m.d.comb += [
            queue.o.ready.eq(self.ready),
            queue.halt.eq(self.halt),
            queue.semaphores.available.eq(self.available | (given if not self.several else 0)),
            self.broken.eq(offered & ~self.halt & ~queue.o.valid),
        ]
        if self.payload:
            m.d.comb += self.broken.eq(offered & (queue.o.payload.as_value() != before.as_value()))
        m.d.sync += [
            offered.eq(queue.o.valid & ~queue.semaphores.take),
            given.eq(queue.semaphores.available & ~queue.empty & ~queue.semaphores.take),
            before.eq(queue.o.payload),
        ]
        return m


@pytest.mark.parametrize("depth", [3, 7])  # of other depths the FIFO's level has values that never occur
def test_an_offer_stays(depth, tmp_path):
    """Until the transfer or `halt`; by induction, so for all time."""
    prove_never(Monitor(depth, payload=False), "broken", tmp_path, steps=6)


def test_an_offer_stays_the_same(tmp_path):
    """So does its payload: in the cycles in which a small queue can fill, turn round and empty."""
    prove_never(Monitor(2, payload=True), "broken", tmp_path, steps=8, induction=False)


def test_an_offer_can_go_where_others_take_the_semaphore(tmp_path):
    """The condition in the docstring is needed, and the proof can fail."""
    with pytest.raises(RuntimeError, match="proof did fail"):
        prove_never(Monitor(3, payload=False, several=True), "broken", tmp_path, steps=6)


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


def test_flipped_bits_are_told(monkeypatch):
    """Every bit of the oldest instruction and its number, while it waits; not of one that is whole."""
    memories = []

    def kept(**shape):
        memories.append(Memory(**shape))
        return memories[-1]

    monkeypatch.setattr(fifo, "Memory", kept)  # a queue does not give its memory away
    dut = UnitQueue(2, integrity=True)
    word = int.from_bytes(Instruction(Opcode.LOAD, {"words": 9, "rows": 2, "planes": 3, "wait": 5}).encode(), "little")

    async def bench(ctx):
        ctx.set(dut.i.payload, {"word": word, "index": 1234})
        ctx.set(dut.i.valid, 1)
        await ctx.tick().repeat(2)
        ctx.set(dut.i.valid, 0)
        await ctx.tick()
        assert not ctx.get(dut.damaged)
        oldest = memories[0].data[0]
        for bit in range(ISSUED.size + 1):
            ctx.set(oldest, ctx.get(oldest) ^ 1 << bit)
            await ctx.tick()
            assert ctx.get(dut.damaged), bit
            ctx.set(oldest, ctx.get(oldest) ^ 1 << bit)
            await ctx.tick()
            assert not ctx.get(dut.damaged)
        ctx.set(memories[0].data[1], 0)  # behind it
        await ctx.tick()
        assert not ctx.get(dut.damaged)
        ctx.set(oldest, ctx.get(oldest) ^ 1)
        ctx.set(dut.semaphores.available, 1)
        ctx.set(dut.o.ready, 1)
        await ctx.tick()
        assert ctx.get(dut.damaged)  # of the one that has left

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
