"""What an R-MAC engine is sent, within its obligations, and when which row must leave it."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np

from tests.hdl.timeline import Timeline, operands
from triovit.hdl.rmac.operands import RMACMode

LONGEST = 31  # beats of a group of self-accumulation
STYLES = ("any", "any", "corners", "lowest", "low", "highest")


@dataclass
class Previous:
    """The last group of a timeline: cycle of its last beat, and how many cycles its rows take."""

    mode: RMACMode | None = None
    cycle: int = -1
    rows: int = 0


def first_cycle(engine, previous: Previous, mode: RMACMode) -> int:
    """Earliest cycle of a group's first beat."""
    if previous.mode in (None, mode) or RMACMode.POINTWISE not in (previous.mode, mode):
        return previous.cycle + 1
    if mode is RMACMode.POINTWISE:
        return previous.cycle + max(1, previous.rows + 2 - engine.macs)
    return previous.cycle + engine.macs


def last_cycle(previous: Previous, mode: RMACMode, resumed: bool) -> int:
    """Earliest cycle of a group's last beat."""
    if RMACMode.POINTWISE in (previous.mode, mode):
        return 0
    return previous.cycle + max(previous.rows, 3 if resumed else 1)


def latency(engine, mode: RMACMode) -> int:
    if mode is RMACMode.POINTWISE:
        return engine.macs + 5
    return 7 + (engine.lanes - 1 if mode is RMACMode.ROW_SUM else 0)


def lengths(choose, mode: RMACMode, engine) -> list[int]:
    """Beats of each group of an accumulation."""
    length = choose.choice((1, 1, 2, 3, engine.lanes, 25, choose.randint(1, LONGEST)))
    if mode is RMACMode.POINTWISE:
        return [choose.choice((length, length, 60))]
    return [length, *(choose.choice((1, 2, 16, LONGEST)) for _ in range(choose.choice((0, 0, 1, 3))))]


def rmac_timeline(engine, seed: int, accumulations: int, modes=tuple(RMACMode), gaps=(0, 0, 0.3)) -> Timeline:
    """Random accumulations. gaps: shares of idle cycles among a group's beats, one of which is taken for each group."""
    choose, generator = random.Random(seed), np.random.default_rng(seed)
    timeline, previous, mode = Timeline(), Previous(), choose.choice(modes)
    for _ in range(accumulations):
        mode = mode if choose.random() < 0.3 else choose.choice(modes)
        style, weight_style = choose.choice(STYLES), choose.choice(STYLES)
        double = choose.random() < 0.3
        rows = choose.choice((engine.lanes, choose.randint(0, engine.lanes))) // (2 if double else 1)
        parts = lengths(choose, mode, engine)
        everything = []
        for index, length in enumerate(parts):
            resumed, gap = index > 0, choose.choice(gaps)
            cycle = first_cycle(engine, previous, mode)
            for k in range(length):
                if k == length - 1:
                    cycle = max(cycle, last_cycle(previous, mode, resumed))
                while choose.random() < gap:
                    cycle += 1
                weights = operands(generator, weight_style, engine.lanes, engine.macs)
                beat = {
                    "features": operands(generator, style, engine.lanes, engine.macs),
                    # Weights of layers are above -128; in OUTER they are values, which are not.
                    "weights": weights if mode is RMACMode.OUTER else np.maximum(weights, -127),
                    "mode": mode.value,
                    "first": int(k == 0),
                    "last": int(k == length - 1),
                    "rows": rows,
                    "double": int(double),
                    "count": choose.choice((engine.lanes, choose.randint(0, engine.lanes))),
                    "resumed": int(resumed),
                    "final": int(index == len(parts) - 1),
                }
                everything.append(beat)
                if mode is RMACMode.POINTWISE:
                    timeline.skew(cycle, beat["weights"])
                timeline.beats[cycle] = beat | {"skewed": mode is RMACMode.POINTWISE}
                cycle += 1
            left = {RMACMode.POINTWISE: 1, RMACMode.ROW_SUM: engine.lanes}.get(mode, rows)
            previous = Previous(mode, cycle - 1, left)
        deliver(engine, timeline, mode, everything, previous.cycle, rows, double)
    timeline.end = previous.cycle + 3 * (engine.lanes + engine.macs) + 20
    return timeline


def deliver(engine, timeline: Timeline, mode: RMACMode, beats: list[dict], cycle: int, rows: int, double: bool) -> None:
    """The rows of an accumulation whose last beat comes in `cycle`."""
    features, weights, count = (np.array([beat[name] for beat in beats]) for name in ("features", "weights", "count"))
    results = engine.model(mode, features, weights, count)
    if mode in (RMACMode.DEPTHWISE, RMACMode.OUTER):
        results = results[:: 2 if double else 1][:rows]
    width = max(engine.lanes, engine.macs)
    for r, row in enumerate(results.tolist()):
        leaving = cycle + latency(engine, mode) + r
        assert leaving not in timeline.rows, "two rows at once"
        timeline.rows[leaving] = {"acc": row + [0] * (width - len(row)), "last": int(r == len(results) - 1)}
