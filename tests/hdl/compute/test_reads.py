"""Read ports in every cycle: who reads, which banks and rows that is, who is told to wait."""

import random
from collections import Counter

import pytest
from amaranth.sim import Simulator

from tests.hdl.compute.copy_engine import COPY
from tests.sim.configurations import CHECKED, NARROW, TINY, WIDE, WIDEST
from triovit.hdl.compute.ports import READ_SPACES, by_space, members_of
from triovit.hdl.compute.reads import ReadPorts
from triovit.hdl.config.buffers import buffers
from triovit.hdl.isa.engines import Space

WINDOWS = (Space.A, Space.O)


def used_words(space: Space, address: int, words: int, double: int) -> list[int]:
    return [address + k * (1 + double) for k in range(words)]


@pytest.mark.parametrize("config", (TINY, NARROW, WIDE, WIDEST, CHECKED), ids=lambda config: config.name)
def test_every_cycle(config):
    rng, shapes = random.Random(config.data_bytes), buffers(config)
    dut = ReadPorts(config, [READ_SPACES, COPY.reads])
    pipelines = [by_space(pipeline) for pipeline in members_of(dut.pipelines)]
    seen = Counter()

    def random_read(space: Space) -> tuple[int, int, int]:
        """(address, words, every second one)"""
        shape, double = shapes[space], 0
        if space == Space.A:
            double = rng.randint(0, 1)
            words = rng.randint(1, config.block // (1 + double))
        else:
            words = 1 if space == Space.O else rng.choice((1, config.block))
        address = rng.randrange(shape.words - (words - 1) * (1 + double))
        if space not in WINDOWS and words > 1:
            address -= address % config.block
        return address, words, double

    async def bench(ctx):
        granted: dict = {}  # space -> read of the cycle before
        later: dict = {}
        for now in range(1500):
            residual = rng.random() < 0.3 and random_read(Space.O)
            ctx.set(dut.residual_en, bool(residual))
            if residual:
                if config.integrity and rng.random() < 0.2:  # no word of O
                    residual = (shapes[Space.O].words + rng.randrange(1 << 20), 0, 0)
                    seen["beyond"] += 1
                ctx.set(dut.residual_address, residual[0])
            stores = rng.random() < 0.6
            store = rng.randrange(shapes[Space.O].words)
            ctx.set(dut.store.valid, stores)
            ctx.set(dut.store.address, store)
            lanes = rng.getrandbits(config.beat_words) if config.integrity else -1
            if config.integrity:
                ctx.set(dut.store.mask, lanes)
            wins = {Space.O: residual} if residual else {}
            possible = False
            for ports in pipelines:
                for space, port in ports.items():
                    asks = rng.random() < 0.5
                    ctx.set(port.possible, asks)
                    possible |= asks and space == Space.O
                    assert ctx.get(port.blocked) == (space in wins), (now, space)
                    asks = asks and space not in wins and rng.random() < 0.8
                    ctx.set(port.request, asks)
                    read = random_read(space)
                    for target, value in zip((port.address, port.words, port.double), read, strict=True):
                        ctx.set(target, value)
                    if asks:
                        wins[space] = read
            assert ctx.get(dut.store.ready) == (not residual and not possible)
            if stores and not residual and not possible:
                wins[Space.O] = (store, config.beat_words, 0, lanes)
                seen["store"] += 1
            for space in READ_SPACES:
                shape, pins = shapes[space], getattr(dut, space.value.lower())
                read = (later if space == Space.K else granted).get(space)
                words = used_words(space, *read[:3]) if read else []
                lanes = read[3] if read and len(read) > 3 else -1
                # Words beyond the memory's end wrap: a STORE's beat may hold words that it does not use.
                banks = {
                    word % shape.banks: word // shape.banks % (shape.words // shape.banks)
                    for lane, word in enumerate(words)
                    if lanes >> lane & 1
                }
                enables = ctx.get(pins.enables)
                assert enables == sum(1 << bank for bank in banks), (now, space)
                for bank, row in banks.items():
                    assert ctx.get(pins.rows[bank]) == row, (now, space)
                if words:
                    assert ctx.get(pins.shift) == words[0] % shape.banks
                    seen[space] += 1
            granted, later = wins, granted
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert all(seen[name] > 50 for name in (*READ_SPACES, "store", *(["beyond"] if config.integrity else []))), seen
