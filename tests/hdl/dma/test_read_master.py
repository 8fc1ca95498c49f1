"""The read master cycle by cycle: order, owners, what it says of slaves that break rules, and halts."""

import random

import pytest
from amaranth.sim import Simulator

from triovit.hdl.dma.read_master import ReadMaster

FETCH, LOAD = "fetch", "load"


class Bench:
    """A read master whose inputs are set by name; `step` looks at the outputs and goes on by a cycle."""

    def __init__(self, ctx, dut):
        self.ctx, self.dut, self.cycle = ctx, dut, 0
        self.beats, self.broken, self.asked = [], [], []

    def ask(self, client, address=None, length=0):
        port = getattr(self.dut, f"{client}_ar")
        self.ctx.set(port.valid, address is not None)
        if address is not None:
            self.ctx.set(port.payload, {"address": address, "length": length})

    def answer(self, value=None, last=0, response=0, id_=0):
        axi = self.dut.m_axi
        self.ctx.set(axi.rvalid, value is not None)
        for port, content in ((axi.rdata, value or 0), (axi.rlast, last), (axi.rresp, response), (axi.rid, id_)):
            self.ctx.set(port, content)

    def ready(self, fetch=1, load=1, ar=1):
        self.ctx.set(self.dut.fetch_r.ready, fetch)
        self.ctx.set(self.dut.load_r.ready, load)
        self.ctx.set(self.dut.m_axi.arready, ar)

    async def step(self, cycles=1):
        get, dut = self.ctx.get, self.dut
        for _ in range(cycles):
            for client in (FETCH, LOAD):
                port = getattr(dut, f"{client}_r")
                if get(port.valid) and get(port.ready):
                    beat = port.payload
                    self.beats.append((self.cycle, client, get(beat.data), get(beat.response), get(beat.last)))
            if get(dut.m_axi.arvalid) and get(dut.m_axi.arready):
                self.asked.append((self.cycle, get(dut.m_axi.araddr), get(dut.m_axi.arlen)))
            if get(dut.broken):
                self.broken.append(self.cycle)
            await self.ctx.tick()
            self.cycle += 1


def run(scenario, outstanding=4):
    dut = ReadMaster(4, outstanding)

    async def bench(ctx):
        b = Bench(ctx, dut)
        b.ready()
        await scenario(b)

    sim = Simulator(dut)
    sim.add_clock(1e-8)
    sim.add_testbench(bench)
    sim.run()


def test_order_and_latency():
    async def scenario(b):
        get, dut = b.ctx.get, b.dut
        b.ask(FETCH, 0x1000, 1)
        b.ask(LOAD, 0x2000, 0)
        assert get(dut.fetch_ar.ready) and not get(dut.load_ar.ready) and get(dut.idle)
        await b.step()
        b.ask(FETCH)
        assert get(dut.load_ar.ready) and not get(dut.idle)
        await b.step()
        b.ask(LOAD)
        await b.step()
        assert b.asked == [(ReadMaster.latency, 0x1000, 1), (ReadMaster.latency + 1, 0x2000, 0)]
        first = b.cycle
        for value, last, response in ((11, 0, 0), (12, 1, 2), (13, 1, 3)):
            b.answer(value, last, response)
            assert get(dut.m_axi.rready)
            await b.step()
        b.answer()
        await b.step(3)
        arrive = first + ReadMaster.beat_latency
        assert b.beats == [
            (arrive, FETCH, 11, 0, 0), (arrive + 1, FETCH, 12, 2, 1), (arrive + 2, LOAD, 13, 3, 1),
        ]  # fmt: skip
        assert get(dut.idle) and not b.broken

    run(scenario)


def test_attributes_are_constant():
    async def scenario(b):
        axi = b.dut.m_axi
        assert [b.ctx.get(port) for port in (axi.arid, axi.arsize, axi.arburst, axi.arcache, axi.arprot)] == [
            0,
            2,
            1,
            3,
            0,
        ]

    run(scenario)


@pytest.mark.parametrize("outstanding", [1, 2, 4])
def test_no_more_bursts_than_outstanding(outstanding):
    async def scenario(b):
        b.ask(LOAD, 64)
        await b.step(10)
        assert len(b.asked) == outstanding
        b.answer(1, last=1)
        await b.step()
        b.answer()
        await b.step(6)
        assert len(b.asked) == outstanding + 1 and not b.broken

    run(scenario, outstanding)


def test_an_address_waits_unchanged():
    async def scenario(b):
        get, axi = b.ctx.get, b.dut.m_axi
        b.ready(ar=0)
        b.ask(LOAD, 0x40, 3)
        await b.step()
        b.ask(LOAD, 0x80, 4)
        await b.step(3)
        assert (get(axi.arvalid), get(axi.araddr), get(axi.arlen)) == (1, 0x40, 3) and not get(b.dut.load_ar.ready)
        b.ready()
        await b.step(2)
        b.ask(LOAD)
        assert [burst[1:] for burst in b.asked] == [(0x40, 3), (0x80, 4)]

    run(scenario)


@pytest.mark.parametrize("client", [FETCH, LOAD])
def test_a_client_holds_up_its_own_beats(client):
    """Two beats wait inside; RREADY falls then, and does not depend on the client in the same cycle."""

    async def scenario(b):
        get, axi = b.ctx.get, b.dut.m_axi
        b.ask(client, 0, 7)
        await b.step()
        b.ask(client)
        other = LOAD if client == FETCH else FETCH
        b.ready(**{client: 0, other: 1})
        taken = 0
        for _ in range(6):
            b.answer(50 + taken)
            taken += get(axi.rready)
            await b.step()
        assert taken == 2 and not b.beats
        b.ready()
        assert not get(axi.rready)
        await b.step()
        assert get(axi.rready)
        await b.step(4)
        assert [beat[2] for beat in b.beats][:3] == [50, 51, 52]
        assert {beat[1] for beat in b.beats} == {client}

    run(scenario)


@pytest.mark.parametrize(
    "length, beats, broken",
    [
        (0, [(1, 0, 0)], None),
        (3, [(0, 0, 0), (0, 0, 0), (0, 2, 0), (1, 3, 0)], None),
        (3, [(0, 0, 0), (1, 0, 0)], 1),  # RLAST too early
        (1, [(0, 0, 0), (0, 0, 0), (1, 0, 0)], 1),  # not where it should be, and then where it should not
        (1, [(0, 0, 1), (1, 0, 0)], 0),  # another ID
        (1, [(0, 1, 0), (1, 0, 0)], 0),  # EXOKAY
        (None, [(1, 0, 0)], 0),  # no burst
    ],
)
def test_rules_of_the_slave(length, beats, broken):
    """A burst is over with RLAST, whatever its length: the next one is the next one's."""

    async def scenario(b):
        if length is not None:
            b.ask(FETCH, 0x40, length)
            await b.step()
            b.ask(FETCH)
        await b.step(2)
        first = b.cycle
        for last, response, id_ in beats:
            b.answer(7, last, response, id_)
            await b.step()
        b.answer()
        await b.step(4)
        assert b.broken[:1] == ([] if broken is None else [first + broken + ReadMaster.beat_latency + 1])
        assert b.ctx.get(b.dut.idle)
        count = len(b.broken)
        b.ask(LOAD, 0x80, 1)
        await b.step()
        b.ask(LOAD)
        for last in (0, 1):
            b.answer(20 + last, last)
            await b.step()
        b.answer()
        await b.step(4)
        assert [beat[1:3] for beat in b.beats[-2:]] == [(LOAD, 20), (LOAD, 21)] and len(b.broken) == count

    run(scenario)


@pytest.mark.parametrize("before", [0, 1, 2, 3])
@pytest.mark.parametrize("halted", [1, 5])
def test_halt(before, halted):
    """Beats of bursts of before `halt` reach nobody, those of bursts behind them their client. before: beats that come
    before the halt, of bursts of two and one."""

    async def scenario(b):
        for client, length in ((LOAD, 1), (FETCH, 0)):
            b.ask(client, 0, length)
            await b.step()
            b.ask(client)
        await b.step()
        lasts = [0, 1, 1]
        for last in lasts[:before]:
            b.answer(1, last)
            await b.step()
        b.answer()
        await b.step(3)
        b.ctx.set(b.dut.halt, 1)
        b.ask(LOAD, 0x40, 1)
        assert not b.ctx.get(b.dut.load_ar.ready) and len(b.beats) == before
        b.ready(fetch=0, load=0)
        sent = before
        for cycle in range(halted):
            value = cycle % 2 == 0 and sent < 3
            b.answer(1 if value else None, lasts[sent] if value else 0)
            sent += value
            await b.step()
        b.answer()
        b.ctx.set(b.dut.halt, 0)
        await b.step()
        b.ask(LOAD)
        for last in lasts[sent:]:
            b.answer(1, last)
            await b.step()
        b.ready()
        for last in (0, 1):
            b.answer(8 + last, last)
            await b.step()
        b.answer()
        await b.step(4)
        assert [beat[1:3] for beat in b.beats[before:]] == [(LOAD, 8), (LOAD, 9)] and not b.broken
        assert b.ctx.get(b.dut.idle)

    run(scenario)


def test_counts_beats():
    async def scenario(b):
        generator, count, sent = random.Random(1), 0, 0
        b.ask(LOAD, 0, 30)
        await b.step()
        b.ask(LOAD)
        while sent < 31:
            b.ready(load=generator.random() < 0.5)
            b.answer(1, sent == 30)
            sent += b.ctx.get(b.dut.m_axi.rready)
            count += b.ctx.get(b.dut.beat)
            await b.step()
        b.answer()
        b.ready()
        for _ in range(4):
            count += b.ctx.get(b.dut.beat)
            await b.step()
        assert count == len(b.beats) == 31 and not b.broken

    run(scenario)


@pytest.mark.parametrize(
    "outstanding, error, text",
    [
        (0, ValueError, "outstanding must be 1..64, not 0"),
        (65, ValueError, "outstanding must be 1..64, not 65"),
        ("4", TypeError, "outstanding must be an integer, not '4'"),
    ],
)
def test_parameters(outstanding, error, text):
    with pytest.raises(error, match=text):
        ReadMaster(4, outstanding)
