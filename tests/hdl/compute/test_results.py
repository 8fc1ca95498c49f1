"""Result control against a reference, in every cycle: choice, latencies, addresses, places, signals, faults."""

import random
from collections import defaultdict, deque

import pytest
from amaranth.sim import Simulator

from tests.sim.configurations import TINY, WIDEST
from triovit.hdl.compute.results import EARLY, INSTRUCTIONS_IN_FLIGHT, WRITE, ResultControl
from triovit.hdl.compute.row_queue import queue_depth
from triovit.hdl.compute.timing import GRANT, TAKEN
from triovit.hdl.config.engines import engines_of
from triovit.hdl.isa.names import Destination, PostMode

UNITS = ("rmac", "mat")
SEEN = 3  # cycles from a descriptor to the announcement of its first row, at least


class Reference:
    """What every output is in each cycle; outputs that nothing says anything about are not in it."""

    def __init__(self, config):
        self.config, self.depth = config, queue_depth(config)
        self.descriptors = [deque() for _ in UNITS]
        self.waiting = [0 for _ in UNITS]
        self.gone = [0 for _ in UNITS]
        self.owed = [0 for _ in UNITS]
        self.space = [False for _ in UNITS]  # from the cycle after the reset on
        self.second, self.before = None, 0
        self.expected = defaultdict(dict)  # cycle -> output -> value

    def beyond(self, result, out, attention) -> bool:
        c, to = self.config, result["destination"]
        return (
            result["parameters"] >= c.parameter_blocks
            or (result["mode"] == PostMode.DIVIDE and result["pixel"] >= c.divisors)
            or (bool(to & Destination.O) and out >= c.output_words)
            or (bool(to & Destination.A) and out >= c.feature_words)
            or (bool(to & Destination.K) and attention >= c.attention_words)
            or (bool(to & Destination.DIVISOR) and result["pixel"] >= c.divisors)
        )

    def step(self, now: int, pushes: list, rows: list):
        """One cycle. pushes: a unit's descriptor or None, rows: a unit announces a row."""
        unit = self.second
        if unit is None:
            turns = sorted(range(len(UNITS)), key=lambda u: (u <= self.before, u))  # behind the last one first
            unit = next((u for u in turns if self.waiting[u]), None)
        self.before = unit or 0
        leaves = [0 for _ in UNITS]
        if unit is not None:
            index, result = self.descriptors[unit][0]
            second = self.second is not None
            wide = result["mode"] == PostMode.WIDE
            last = self.gone[unit] == result["rows"] - 1
            out = result["out"] + self.gone[unit] + (result["high"] if second else 0)
            attention = result["attention"] + self.gone[unit]
            self.expected[now + GRANT] |= {"p_en": 1, "p_block": result["parameters"]}
            if result["residual"]:
                self.expected[now + GRANT] |= {"o_en": 1, "o_address": out}
            taken = self.expected[now + TAKEN - 2]
            taken |= {"code_address": result["pixel"] % 4096}
            if not second:
                taken["take"] = 1 << unit
            self.expected[now + TAKEN - 1] |= {
                "unit": unit, "mode": result["mode"], "fraction_bits": result["fraction_bits"],
                "use_residual": result["residual"], "log2_offset": result["log2_offset"], "high_byte": second,
            }  # fmt: skip
            if self.beyond(result, out, attention):
                self.expected[now + WRITE - EARLY] |= {f"{UNITS[unit]}_fault": 1, f"{UNITS[unit]}_index": index}
            else:
                self.expected[now + WRITE - 2] |= {
                    "destination": result["destination"], "out": out, "attention": attention,
                    "pixel": result["pixel"] % 4096,
                }  # fmt: skip
            self.second = unit if wide and not second else None
            if self.second is None:
                leaves[unit] = 1
                self.gone[unit] = 0 if last else self.gone[unit] + 1
                if last:
                    self.descriptors[unit].popleft()
                    if result["final"]:
                        self.expected[now + WRITE - EARLY] |= {f"{UNITS[unit]}_done": 1, f"{UNITS[unit]}_index": index}
        for u in range(len(UNITS)):
            self.space[u] = self.owed[u] <= self.depth - 2 * self.config.block
            if pushes[u]:
                self.descriptors[u].append(pushes[u])
            self.owed[u] += (pushes[u][1]["rows"] if pushes[u] else 0) - leaves[u]
            self.waiting[u] += rows[u] - leaves[u]
            assert 0 <= self.owed[u] <= self.depth


def random_result(config, rng, final: bool) -> dict:
    far = rng.random() < 0.05

    def place(words: int) -> int:
        return rng.choice((words - 1, words)) if far else rng.randrange(words // 2)

    mode = rng.choice((PostMode.LINEAR, PostMode.DIVIDE, PostMode.WIDE, PostMode.HARDSWISH))
    return {
        "rows": rng.choice((1, 1, 1, config.block, rng.randint(1, config.block))),
        "out": place(rng.choice((config.output_words, config.feature_words))), "high": rng.randrange(64),
        "parameters": place(config.parameter_blocks), "attention": place(config.attention_words),
        "pixel": place(config.divisors), "destination": rng.randint(1, 15), "mode": mode,
        "fraction_bits": rng.randrange(14), "residual": rng.randint(0, 1), "log2_offset": rng.randint(-32, 31),
        "final": final,
    }  # fmt: skip


@pytest.mark.parametrize("config", (TINY, WIDEST), ids=lambda config: config.name)
@pytest.mark.parametrize("seed", range(2))
def test_every_cycle(config, seed):
    rng = random.Random(seed)
    dut = ResultControl(config, [engine for engine in engines_of(config) if engine.computes])
    reference = Reference(config)
    outputs = {"p_en": dut.p_en, "p_block": dut.p_block, "o_en": dut.o_en, "o_address": dut.o_address}
    outputs |= {name: dut.row[name] for name in ("take", "code_address")}
    outputs |= {name: dut.post[name] for name in dut.post.shape().members}
    outputs |= {name: dut.writes[name] for name in dut.writes.shape().members}
    for name, port in zip(UNITS, dut.units, strict=True):
        outputs |= {f"{name}_done": port.done, f"{name}_fault": port.fault}
    quiet = {"p_en", "o_en", "take", "destination", *(name for name in outputs if name.endswith(("_done", "_fault")))}
    happened = defaultdict(int)

    async def bench(ctx):
        announced = [deque() for _ in UNITS]  # cycles from which on a row may be announced
        left = [0 for _ in UNITS]  # results of the instruction that runs
        index = [0 for _ in UNITS]
        under_way = [0 for _ in UNITS]
        for now in range(3000):
            pushes, rows = [None for _ in UNITS], [0 for _ in UNITS]
            calm = now // 300 % 2
            for u, port in enumerate(dut.units):
                accepted = not left[u] and under_way[u] < INSTRUCTIONS_IN_FLIGHT and rng.random() < 0.5
                ctx.set(port.accepted, accepted)
                if accepted:
                    index[u] += 1
                    under_way[u] += 1
                    ctx.set(port.index, index[u] << 8 | u)
                    ctx.set(port.signal, index[u] << 4 | u)
                    left[u] = rng.randint(1, 6)
                space = ctx.get(port.results.space)
                assert space == reference.space[u], now
                pushed = left[u] and not accepted and space and rng.random() < (0.05 if calm else 0.9)
                ctx.set(port.results.push, bool(pushed))
                if pushed:
                    left[u] -= 1
                    result = random_result(config, rng, left[u] == 0)
                    ctx.set(port.results.result, result)
                    pushes[u] = (index[u] << 8 | u, result)
                    announced[u].extend([now + SEEN] * result["rows"])
                if announced[u] and announced[u][0] <= now and rng.random() < 0.8:
                    announced[u].popleft()
                    rows[u] = 1
                ctx.set(port.row, rows[u])
            expected = reference.expected.pop(now, {})
            for name, signal in outputs.items():
                value = ctx.get(signal)
                if name in expected or name in quiet:
                    assert value == expected.get(name, 0), (now, name)
                happened[name] += bool(value)
            for u, (name, port) in enumerate(zip(UNITS, dut.units, strict=True)):
                if f"{name}_index" in expected:
                    which = expected[f"{name}_index"]
                    if ctx.get(port.done):
                        assert (ctx.get(port.done_index), ctx.get(port.done_signal)) == (which, which >> 8 << 4 | u)
                        under_way[u] -= 1
                    if ctx.get(port.fault):
                        assert ctx.get(port.fault_index) == which
            reference.step(now, pushes, rows)
            await ctx.tick()
        # All instructions end, and then the units are idle.
        for port in dut.units:
            ctx.set(port.results.push, 0)
            ctx.set(port.accepted, 0)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert all(happened[name] > 5 for name in outputs), dict(happened)


def test_room_and_idle():
    dut = ResultControl(TINY, [engine for engine in engines_of(TINY) if engine.computes])

    async def bench(ctx):
        for port in dut.units:
            assert ctx.get(port.idle)
            ctx.set(port.accepted, 1)
            count = 0
            while ctx.get(port.room):
                await ctx.tick()
                count += 1
                assert not ctx.get(port.idle)
            assert count == INSTRUCTIONS_IN_FLIGHT - 2  # and two may be on their way
            ctx.set(port.accepted, 0)
        result = {"rows": 1, "destination": 1, "final": 1}
        for left in reversed(range(INSTRUCTIONS_IN_FLIGHT - 2)):
            port = dut.units[0]
            ctx.set(port.results.result, result)
            ctx.set(port.results.push, 1)
            await ctx.tick()
            ctx.set(port.results.push, 0)
            await ctx.tick().repeat(SEEN)
            ctx.set(port.row, 1)
            await ctx.tick()
            ctx.set(port.row, 0)
            await ctx.tick().until(port.done)
            await ctx.tick()
            assert ctx.get(port.idle) == (left == 0) and ctx.get(port.room)
            assert not ctx.get(dut.units[1].idle)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run_until(1e-3)
