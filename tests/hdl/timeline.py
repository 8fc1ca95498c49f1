"""Engines in which nothing waits: what goes in and what must come out, by cycle, and Amaranth's simulator on it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np
from amaranth.hdl import Fragment
from amaranth.sim import Simulator

from triovit.hdl.technology import GENERIC, Technology
from triovit.sim.bench import pack, random_value, unpack


@dataclass
class Timeline:
    """beats: payload by the cycle it comes in. rows: payload by the cycle it leaves in. end: cycles there are.

    A beat has, besides the payload's fields, `skewed`: whether its weights come by columns, see `skew`.
    """

    beats: dict[int, dict] = field(default_factory=dict)
    rows: dict[int, dict] = field(default_factory=dict)
    weights: dict[int, np.ndarray] = field(default_factory=dict)  # columns that belong to earlier beats
    mask: dict[int, np.ndarray] = field(default_factory=dict)  # and which columns those are
    end: int = 0

    def skew(self, cycle: int, weights: np.ndarray) -> None:
        """Lay column m of a beat's weights into the m-th cycle after it."""
        lanes, macs = weights.shape
        for m in range(macs):
            late = self.weights.setdefault(cycle + m, np.zeros((lanes, macs), dtype=np.int64))
            mask = self.mask.setdefault(cycle + m, np.zeros(macs, dtype=bool))
            assert not mask[m], "two beats at once"
            late[:, m], mask[m] = weights[:, m], True

    def inputs(self, layout, seed: int):
        """(valid, payload as an integer) of each cycle; what nobody may look at is random."""
        generator, choose = np.random.default_rng(seed), random.Random(seed)
        for cycle in range(self.end):
            beat = self.beats.get(cycle)
            payload = dict(beat) if beat else random_value(layout, choose)
            weights = np.array(payload["weights"])
            if cycle in self.mask:
                noise = generator.integers(-128, 128, weights.shape) if beat is None or beat["skewed"] else weights
                payload["weights"] = np.where(self.mask[cycle], self.weights[cycle], noise)
            payload.pop("skewed", None)
            yield beat is not None, pack(layout, payload)


def operands(generator, style: str, *shape: int):
    """int8 operands: any value, corners mostly, or all of one value."""
    constant = {"lowest": -128, "highest": 127, "low": -127}
    if style in constant:
        return np.full(shape, constant[style])
    if style == "corners":
        return generator.choice([-128, -127, -1, 0, 1, 127], size=shape)
    return generator.integers(-128, 128, size=shape)


def simulate(engine, timeline: Timeline, seed: int = 1, technology: Technology = GENERIC) -> None:
    """Every cycle in Amaranth's simulator: `o.valid`, and `o.payload` where a row is due."""
    layout = engine.o.payload.shape()

    async def bench(ctx):
        for cycle, (valid, payload) in enumerate(timeline.inputs(engine.i.payload.shape(), seed)):
            ctx.set(engine.i.valid, valid)
            ctx.set(engine.i.payload.as_value(), payload)
            row = timeline.rows.get(cycle)
            assert ctx.get(engine.o.valid) == (row is not None), f"cycle {cycle}: row {row} expected"
            if row is not None:
                assert unpack(layout, ctx.get(engine.o.payload.as_value())) == row, f"cycle {cycle}"
            await ctx.tick()

    simulator = Simulator(Fragment.get(engine, technology.in_simulation()))
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
