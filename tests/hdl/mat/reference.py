"""What a MAT engine is sent, and when which row must leave it."""

from __future__ import annotations

import random

import numpy as np

from tests.hdl.timeline import Timeline, operands

# Of every product one operand is above -128: weights of layers, or K^T V with features that are 0..127.
STYLES = (("any", "above"), ("corners", "above"), ("lowest", "low"), ("lowest", "highest"), ("natural", "lowest"))
STYLES += (("natural", "any"), ("highest", "lowest"))


def mat_operands(generator, style: str, *shape: int):
    if style == "above":
        return np.maximum(operands(generator, "any", *shape), -127)
    if style == "natural":
        return generator.integers(0, 128, size=shape)
    return operands(generator, style, *shape)


def mat_timeline(engine, seed: int, groups: int, gaps=(0, 0, 0.3), longest: int = 60) -> Timeline:
    """Random groups. gaps: shares of idle cycles among a group's beats, one of which is taken for each group."""
    choose, generator = random.Random(seed), np.random.default_rng(seed)
    timeline, cycle = Timeline(), 0
    for _ in range(groups):
        length = min(longest, choose.choice((1, 1, 1, 2, 3, choose.randint(1, 60))))
        (features, weights), gap = choose.choice(STYLES), choose.choice(gaps)
        group = []
        for k in range(length):
            while choose.random() < gap:
                cycle += 1
            beat = {
                "features": mat_operands(generator, features, engine.multipliers),
                "first": int(k == 0),
                "last": int(k == length - 1),
                "weights": mat_operands(generator, weights, engine.lanes, engine.multipliers),
            }
            timeline.skew(cycle, beat["weights"])
            timeline.beats[cycle] = beat | {"skewed": True}
            group.append(beat)
            cycle += 1
        results = engine.model(*(np.array([beat[name] for beat in group]) for name in ("features", "weights")))
        timeline.rows[cycle - 1 + engine.multipliers + 4] = {"acc": results.tolist()}
    timeline.end = cycle + engine.multipliers + 20
    return timeline
