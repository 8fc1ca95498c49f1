"""Write ports in every cycle: results before LOAD, banks and rows in every core, words in the order of banks."""

import random
from collections import Counter

import pytest
from amaranth.sim import Simulator

from tests.sim.configurations import FOUR, NARROW, PAIR, PORTS, WIDE, WIDEST
from triovit.hdl.compute.writes import WritePorts
from triovit.hdl.config.buffers import buffers
from triovit.hdl.isa.engines import Space
from triovit.hdl.isa.names import Buffer, Destination

PINS = {Space.A: "a", Space.O: "o", Space.K: "k", Space.DIVISOR: "codes"}
ADDRESS = {Space.A: "out", Space.O: "out", Space.K: "attention", Space.DIVISOR: "pixel"}


@pytest.mark.parametrize("config", (PAIR, NARROW, WIDE, WIDEST, PORTS, FOUR), ids=lambda config: config.name)
def test_every_cycle(config):
    rng, shapes, dut = random.Random(config.data_bytes), buffers(config), WritePorts(config)
    beat, bus, seen = config.beat_words, config.bus_words, Counter()

    def banks(space: Space, words: list[int]) -> dict[int, int]:
        shape = shapes[space]
        return {word % shape.banks: word // shape.banks % (shape.words // shape.banks) for word in words}

    def check(ctx, port, expected: dict[int, int], what):
        assert ctx.get(port.enables) == sum(1 << bank for bank in expected), what
        for bank, row in expected.items():
            assert ctx.get(port.rows[bank]) == row, what

    async def bench(ctx):
        before_result, before_load, before_data = None, None, None
        for now in range(2000):
            result = {
                "destination": rng.choice((0, 0, 1, 2, 3, 4, 5, 8, 9, 15)),
                "out": rng.randrange(min(config.output_words, config.feature_words)),
                "attention": rng.randrange(config.attention_words), "pixel": rng.randrange(config.divisors),
            }  # fmt: skip
            ctx.set(dut.results, result)
            buffer = rng.choice(list(Buffer))
            load = {
                "buffer": buffer, "core": rng.randrange(config.port_cores), "mask": rng.randrange(1 << bus),
                "address": rng.randrange(shapes[Space[buffer.name]].words),
            }  # fmt: skip
            words = [rng.getrandbits(8 * config.block) for _ in range(bus)]
            valid = rng.random() < 0.7
            ctx.set(dut.load.valid, valid)
            ctx.set(dut.load.data, [words[k : k + beat] for k in range(0, bus, beat)])
            for name, value in load.items():
                ctx.set(getattr(dut.load, name), value)
            blocked = buffer in (Buffer.A, Buffer.O) and bool(result["destination"] & Destination[buffer.name])
            assert ctx.get(dut.load.ready) == (not blocked), now
            seen["blocked"] += blocked and valid
            # What came a cycle ago.
            if before_result is not None:
                for core, pins in enumerate(dut.cores):
                    for space, name in PINS.items():
                        port = getattr(pins, name)
                        to = before_result["destination"] & Destination[space.name]
                        expected = banks(space, [before_result[ADDRESS[space]]]) if to else {}
                        if to:
                            assert ctx.get(port.from_result)
                            seen[space] += 1
                        elif (
                            before_load
                            and Space[before_load["buffer"].name] == space
                            and before_load["core"] == core % config.port_cores
                        ):
                            expected = banks(space, before_load["words"])
                            assert not ctx.get(port.from_result)
                            seen["load", space] += 1
                        check(ctx, port, expected, (now, core, space))
                for space in (Space.B, Space.C, Space.P):
                    mine = before_load and Space[before_load["buffer"].name] == space
                    check(
                        ctx, getattr(dut, space.value.lower()), banks(space, before_load["words"]) if mine else {}, now
                    )
                    seen["load", space] += bool(mine)
                if before_load:

                    def order(words: list[int], address=before_load["address"]) -> list[int]:
                        return [words[(lane - address) % len(words)] for lane in range(len(words))]

                    assert [ctx.get(dut.shared_data[lane]) for lane in range(bus)] == order(before_data), now
                    for port in range(config.ports):
                        own = [ctx.get(dut.port_data[port][lane]) for lane in range(beat)]
                        assert own == order(before_data[port * beat : (port + 1) * beat]), (now, port)
            accepted = valid and not blocked
            lanes = beat if buffer in (Buffer.A, Buffer.O) else bus
            load["words"] = [load["address"] + k for k in range(lanes) if load["mask"] >> k & 1]
            before_result, before_load, before_data = result, load if accepted else None, words
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    loads = [("load", Space[buffer.name]) for buffer in Buffer]
    assert all(seen[name] > 30 for name in (*PINS, *loads, "blocked")), seen
