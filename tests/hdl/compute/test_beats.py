"""Beats against a reference, in every cycle: what a core is told, tokens of a window, announcements of rows."""

import random
from collections import Counter, defaultdict

import pytest
from amaranth.sim import Simulator

from tests.sim.configurations import TINY, WIDE, WIDEST
from triovit.hdl.compute.beats import Beats, FeatureSource
from triovit.hdl.compute.engine_timing import EngineTiming
from triovit.hdl.compute.steps import StepKind
from triovit.hdl.compute.timing import OPERANDS, READ, ROW_LEAD
from triovit.hdl.rmac.operands import RMACMode

CONV, DEPTHWISE, OUTER, ROW_SUM, LAYER_NORM = StepKind
MODES = {CONV: RMACMode.POINTWISE, DEPTHWISE: RMACMode.DEPTHWISE, OUTER: RMACMode.OUTER, ROW_SUM: RMACMode.ROW_SUM}
STROBES = ("window", "key", "word", "mat_word", "rmac_valid", "norm_valid", "mat_valid", "rmac_row", "mat_row")


class Reference:
    """Values of the outputs by cycle; what is not in it is not looked at, but for the strobes, which are zero."""

    def __init__(self, config):
        self.block, self.timing, self.expected = config.block, EngineTiming(config), defaultdict(dict)

    def rmac(self, now: int, s: dict) -> int:
        """A step of the R-MAC unit; returns the cycle from which on the next one may come."""
        kind, at = s["kind"], now + READ - 1
        if s["key"]:
            self.expected[at]["key"] = 1
            return now + 1
        if kind in (DEPTHWISE, OUTER, ROW_SUM):
            self.expected[at]["window"] = 1
        tokens = s["count"] if kind == OUTER else 1
        for token in range(tokens):
            source = FeatureSource.KEY if kind == OUTER else FeatureSource.O if s["source"] else FeatureSource.A
            self.expected[at + token] |= {"features": source, "relu": s["relu"]}
            self.expected[at + token]["word"] = int(kind in (CONV, OUTER, LAYER_NORM))
            if kind == OUTER:
                self.expected[at + token]["token"] = token
            beat = self.expected[now + OPERANDS - 1 + token]
            ends = s["capture"] and token == tokens - 1
            beat |= {
                "norm_valid" if kind == LAYER_NORM else "rmac_valid": 1, "last": int(ends),
                "mode": MODES.get(kind, RMACMode.POINTWISE), "first": int(s["first"] and token == 0),
                "rows": self.block if kind == OUTER else s["count"], "beat_relu": s["relu"], "beat_token": token,
                **{name: s[name] for name in ("double", "count", "resumed", "final", "channels", "epsilon")},
            }  # fmt: skip
        self._announce(now + tokens - 1, s)
        if kind == DEPTHWISE and s["capture"]:
            return now + s["count"]
        return now + (self.block if kind == OUTER and s["capture"] else tokens)

    def _announce(self, now: int, s: dict):
        """Rows: now is the cycle of S0 that belongs to the last beat."""
        kind, timing = s["kind"], self.timing
        if not s["final"] or not (s["capture"] or kind == LAYER_NORM):
            return
        latency = {CONV: timing.conv_rows, ROW_SUM: timing.row_sum_rows, LAYER_NORM: timing.norm_rows}
        rows = {DEPTHWISE: s["count"], OUTER: self.block}.get(kind, 1)
        shown = now + OPERANDS + latency.get(kind, timing.alone_rows)  # by the engine
        earliest = now + OPERANDS  # a register behind the beats
        for row in range(rows):
            self.expected[max(shown - ROW_LEAD, earliest) + row]["rmac_row"] = 1

    def mat(self, now: int, s: dict):
        self.expected[now + READ - 1] |= {"mat_word": 1, "mat_from_o": s["source"], "mat_relu": s["relu"]}
        self.expected[now + OPERANDS - 1] |= {"mat_valid": 1, "mat_first": s["first"], "mat_last": s["last"]}
        for column in range(self.block):
            self.expected[now + OPERANDS - 1 + column][f"stationary_{column}"] = s["stationary"]
        if s["last"]:
            self.expected[now + OPERANDS + self.timing.mat_rows - ROW_LEAD]["mat_row"] = 1


def random_step(config, rng, kind: StepKind) -> dict:
    step = {name: rng.randint(0, 1) for name in ("relu", "first", "capture", "resumed", "final", "double")} | {
        "key": int(kind == OUTER and rng.random() < 0.3), "kind": kind, "count": rng.randint(1, config.block),
        "source": int(kind == CONV and rng.random() < 0.5),
        "channels": rng.randrange(1 << 13), "epsilon": rng.getrandbits(32),
    }  # fmt: skip
    return step | {"final": step["capture"]} if kind == CONV else step


@pytest.mark.parametrize("config", (TINY, WIDE, WIDEST), ids=lambda config: config.name)
def test_every_cycle(config):
    rng, dut, reference = random.Random(config.block), Beats(config), Reference(config)
    block, operands, beat = config.block, dut.control.operands, dut.control.beat
    outputs = {
        name: operands[name] for name in ("window", "key", "features", "token", "relu", "mat_from_o", "mat_relu")
    }
    outputs |= {name: beat[name] for name in beat.shape().members if name not in ("relu", "token", "stationary")}
    outputs |= {"beat_relu": beat.relu, "beat_token": beat.token, "rmac_row": dut.rmac_row, "mat_row": dut.mat_row}
    outputs |= {f"stationary_{column}": beat.stationary[column] for column in range(block)}
    happened = Counter()

    async def bench(ctx):
        free, kind, before = 0, CONV, None
        for now in range(2500):
            if rng.random() < 0.05:
                kind = rng.choice(list(StepKind))
            step = random_step(config, rng, kind)
            apart = 3 * block if before not in (None, kind) else 0  # what follows another kind comes late enough
            goes = now >= free + apart and rng.random() < 0.8
            ctx.set(dut.rmac_step, step | {"valid": goes})
            if goes:
                free = max(free, reference.rmac(now, step))
                before = kind
                happened[kind] += 1
            mat = {name: rng.randint(0, 1) for name in ("first", "last", "source", "relu", "stationary")}
            mat_goes = rng.random() < 0.5
            ctx.set(dut.mat_step, mat | {"valid": mat_goes})
            if mat_goes:
                reference.mat(now, mat)
            expected = reference.expected.pop(now, {})
            for name, signal in outputs.items():
                if name in expected or name in STROBES:
                    assert ctx.get(signal) == expected.get(name, 0), (now, name)
            if not expected.get("rmac_valid") and now > OPERANDS:
                assert ctx.get(beat.mode) == RMACMode.POINTWISE
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert all(happened[kind] > 10 for kind in StepKind), happened
