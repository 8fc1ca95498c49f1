"""The write master cycle by cycle: order, WLAST, answers, what it says of slaves that break rules, and halts."""

import random

import pytest
from amaranth.sim import Simulator

from triovit.hdl.dma.write_master import WriteMaster


class Bench:
    """A write master whose inputs are set by name; `step` looks at the outputs and goes on by a cycle."""

    def __init__(self, ctx, dut):
        self.ctx, self.dut, self.cycle = ctx, dut, 0
        self.asked, self.sent, self.answers, self.broken, self.beats = [], [], [], [], 0
        self.waiting = {}

    def ask(self, address=None, length=0):
        self.ctx.set(self.dut.aw.valid, address is not None)
        if address is not None:
            self.ctx.set(self.dut.aw.payload, {"address": address, "length": length})

    def give(self, value=None, strobes=0xF):
        self.ctx.set(self.dut.w.valid, value is not None)
        self.ctx.set(self.dut.w.payload, {"data": value or 0, "strobes": strobes})

    def answer(self, valid=1, response=0, id_=0):
        axi = self.dut.m_axi
        for port, content in ((axi.bvalid, valid), (axi.bresp, response), (axi.bid, id_)):
            self.ctx.set(port, content)

    def ready(self, aw=1, w=1):
        self.ctx.set(self.dut.m_axi.awready, aw)
        self.ctx.set(self.dut.m_axi.wready, w)

    def _channel(self, name, members, log):
        """Transfers of AW or W, and that an offer stays as it is."""
        get, axi = self.ctx.get, self.dut.m_axi
        offer = tuple(get(getattr(axi, member)) for member in members) if get(getattr(axi, f"{name}valid")) else None
        assert self.waiting.get(name) in (None, offer)
        moves = offer and get(getattr(axi, f"{name}ready"))
        self.waiting[name] = None if moves else offer
        if moves:
            log.append((self.cycle, *offer))

    async def step(self, cycles=1):
        get, dut = self.ctx.get, self.dut
        for _ in range(cycles):
            self._channel("aw", ("awaddr", "awlen"), self.asked)
            self._channel("w", ("wdata", "wstrb", "wlast"), self.sent)
            self.beats += get(dut.beat)
            if get(dut.answered):
                self.answers.append((self.cycle, get(dut.response)))
            if get(dut.broken):
                self.broken.append(self.cycle)
            assert get(dut.m_axi.bready) == 1
            await self.ctx.tick()
            self.cycle += 1


def run(scenario, outstanding=4):
    dut = WriteMaster(4, outstanding)

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
        assert get(dut.aw.ready) and get(dut.idle) and not get(dut.w.ready)
        b.give(5)
        b.ask(0x40, 1)
        await b.step()
        b.ask(0x80, 0)
        assert get(dut.w.ready) and not get(dut.idle)
        await b.step()
        b.ask()
        b.give(6, 0b0110)
        await b.step()
        b.give(7, 0b1000)
        await b.step()
        b.give()
        await b.step()
        one = WriteMaster.latency
        assert b.asked == [(one, 0x40, 1), (one + 1, 0x80, 0)]
        assert b.sent == [(one + 1, 5, 0xF, 0), (one + 2, 6, 0b0110, 1), (one + 3, 7, 0b1000, 1)]
        first = b.cycle
        for response in (2, 3):
            b.answer(response=response)
            assert not get(dut.idle)
            await b.step()
        b.answer(0)
        await b.step()
        assert b.answers == [(first + WriteMaster.answer_latency, 2), (first + 1 + WriteMaster.answer_latency, 3)]
        assert get(dut.idle) and not b.broken and b.beats == 3

    run(scenario)


def test_attributes_are_constant():
    async def scenario(b):
        axi = b.dut.m_axi
        assert [b.ctx.get(p) for p in (axi.awid, axi.awsize, axi.awburst, axi.awcache, axi.awprot)] == [0, 2, 1, 3, 0]

    run(scenario)


@pytest.mark.parametrize("outstanding", [1, 2, 4])
def test_no_more_bursts_than_outstanding(outstanding):
    async def scenario(b):
        b.ask(0x40)
        b.give(1)
        await b.step(12)
        assert len(b.asked) == len(b.sent) == outstanding
        b.answer()
        await b.step()
        b.answer(0)
        await b.step(6)
        assert len(b.asked) == len(b.sent) == outstanding + 1 and not b.broken

    run(scenario, outstanding)


def test_data_goes_before_its_address():
    async def scenario(b):
        b.ready(aw=0)
        b.ask(0x40, 1)
        await b.step()
        b.ask(0x80, 0)
        for value in (1, 2):
            b.give(value)
            await b.step()
        b.give()
        await b.step(2)
        assert [beat[1] for beat in b.sent] == [1, 2] and not b.asked and not b.ctx.get(b.dut.aw.ready)
        b.ready()
        await b.step(2)
        b.ask()
        assert [burst[1] for burst in b.asked] == [0x40, 0x80]

    run(scenario)


def test_random_stalls():
    """Bursts of many lengths with stalls on all sides: every beat once, WLAST where the lengths say."""

    async def scenario(b):
        generator = random.Random(1)
        lengths = [generator.choice((0, 1, 2, 7)) for _ in range(30)]
        total = sum(lengths) + len(lengths)
        asked = given = answered = 0
        while len(b.answers) < len(lengths):
            b.ready(generator.random() < 0.6, generator.random() < 0.6)
            b.ask(64 * asked if asked < len(lengths) else None, lengths[min(asked, len(lengths) - 1)])
            give = given < total and generator.random() < 0.7
            b.give(given if give else None, given % 16)
            over = sum(beat[3] for beat in b.sent)
            come = min(over, len(b.asked)) > answered and generator.random() < 0.5
            b.answer(come, answered % 4 & 2)
            answered += come
            asked += b.ctx.get(b.dut.aw.valid) & b.ctx.get(b.dut.aw.ready)
            given += b.ctx.get(b.dut.w.valid) & b.ctx.get(b.dut.w.ready)
            await b.step()
        assert [beat[1:3] for beat in b.sent] == [(k, k % 16) for k in range(total)] and b.beats == total
        assert [beat[3] for beat in b.sent] == [int(k == n) for n in lengths for k in range(n + 1)]
        assert [burst[1:] for burst in b.asked] == [(64 * k, n) for k, n in enumerate(lengths)]
        assert [answer[1] for answer in b.answers] == [k % 4 & 2 for k in range(len(lengths))]
        assert not b.broken and b.ctx.get(b.dut.idle)

    run(scenario)


@pytest.mark.parametrize(
    "name, address, data, response, id_, broken",
    [
        ("fine", True, 2, 0, 0, False),
        ("an error", True, 2, 3, 0, False),
        ("EXOKAY", True, 2, 1, 0, True),
        ("another ID", True, 2, 0, 1, True),
        ("no burst", False, 0, 0, 0, True),
        ("before the last beat", True, 1, 0, 0, True),
        ("before any beat", True, 0, 0, 0, True),
        ("before the address", False, 2, 0, 0, True),
    ],
)
def test_rules_of_the_slave(name, address, data, response, id_, broken):
    """A burst of two beats, of which so much has been taken when the answer comes; then all goes on."""

    async def scenario(b):
        b.ready(aw=address)
        if name != "no burst":
            b.ask(0x40, 1)
        await b.step()
        b.ask()
        for value in range(data):
            b.give(value)
            await b.step()
        b.give()
        await b.step(2)
        first = b.cycle
        b.answer(1, response, id_)
        await b.step()
        b.answer(0)
        await b.step(3)
        assert b.broken == ([first + WriteMaster.answer_latency + 1] if broken else [])
        b.ready()
        if name != "no burst":
            for value in range(data, 2):
                b.give(value)
                await b.step()
        b.give()
        await b.step(3)
        assert b.ctx.get(b.dut.idle)
        b.ask(0x80, 0)
        b.give(9)
        await b.step()
        b.ask()
        await b.step()
        b.give()
        await b.step(2)
        count = len(b.answers)
        b.answer(1, 2)
        await b.step()
        b.answer(0)
        await b.step(3)
        assert [answer[1] for answer in b.answers[count:]] == [2] and len(b.broken) == broken
        assert b.sent[-1][1:] == (9, 0xF, 1) and b.ctx.get(b.dut.idle)

    run(scenario)


@pytest.mark.parametrize("given", range(5))
@pytest.mark.parametrize("answered", [0, 1])
@pytest.mark.parametrize("halted", [1, 9])
def test_halt(given, answered, halted):
    """Two bursts of two beats, of which some were given: the rest comes with strobes off, answers are told to nobody;
    the next burst's data and answer are its own."""
    if answered and given < 2:
        pytest.skip("the first burst is not over")

    async def scenario(b):
        for address in (0x40, 0x80):
            b.ask(address, 1)
            await b.step()
        b.ask()
        for value in range(given):
            b.give(value)
            await b.step()
        b.give()
        await b.step(2)
        if answered:
            b.answer()
            await b.step()
            b.answer(0)
            await b.step(2)
        assert len(b.answers) == answered
        b.ctx.set(b.dut.halt, 1)
        b.ask(0xC0, 1)
        b.give(77)
        assert not b.ctx.get(b.dut.aw.ready) and not b.ctx.get(b.dut.w.ready)
        await b.step(halted)
        b.ctx.set(b.dut.halt, 0)
        await b.step()
        b.ask()
        while not b.ctx.get(b.dut.w.ready):
            await b.step()
        await b.step()
        b.give(78)
        await b.step()
        b.give()
        await b.step(2)
        for _ in range(2 - answered):
            b.answer()
            await b.step()
        b.answer(0)
        await b.step(2)
        assert len(b.answers) == answered and not b.ctx.get(b.dut.idle)
        b.answer(1, 3)
        await b.step()
        b.answer(0)
        await b.step(3)
        assert [answer[1] for answer in b.answers[answered:]] == [3]
        assert [beat[2] for beat in b.sent[:4]] == [0xF] * given + [0] * (4 - given)
        assert [beat[3] for beat in b.sent] == [0, 1] * 3
        assert [beat[1:3] for beat in b.sent[4:]] == [(77, 0xF), (78, 0xF)]
        assert [burst[1] for burst in b.asked] == [0x40, 0x80, 0xC0]
        assert b.ctx.get(b.dut.idle) and not b.broken

    run(scenario)


@pytest.mark.parametrize("idle_channel", ["aw", "w"])
def test_an_offer_stays_through_a_halt(idle_channel):
    """What is offered cannot be taken back: neither an address nor a beat, with the strobes that it has."""

    async def scenario(b):
        b.ready(**{idle_channel: 0})
        b.ask(0x40, 0)
        b.give(5)
        await b.step()
        b.ask()
        await b.step()
        b.give()
        b.ctx.set(b.dut.halt, 1)
        await b.step(5)
        b.ctx.set(b.dut.halt, 0)
        await b.step(5)
        b.ready()
        await b.step(2)
        assert [beat[1:] for beat in b.sent] == [(5, 0xF, 1)] and [burst[1] for burst in b.asked] == [0x40]
        b.answer()
        await b.step()
        b.answer(0)
        await b.step(3)
        assert not b.answers and not b.broken and b.ctx.get(b.dut.idle)

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
        WriteMaster(4, outstanding)
