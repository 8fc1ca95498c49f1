"""Cycle-accurate reference of the MAT engine's handshake, and its stimulus."""

from __future__ import annotations

import random

import numpy as np

from tests.hdl.rmac.stalling_reference import EngineReference, operands


class MATReference(EngineReference):
    def __init__(self, engine):
        def rows(beats):
            features, weights = (np.array([beat[name] for beat in beats]) for name in ("features", "weights"))
            return [{"acc": engine.model(features, weights).tolist()}]

        super().__init__(lambda beat: engine.latency, rows)


def mat_beats(engine, seed: int, groups: int, longest: int = 30):
    """Beats of random groups of 1 to `longest` beats."""
    choose, generator = random.Random(seed), np.random.default_rng(seed)
    beats = []
    for _ in range(groups):
        length = choose.choice((1, 1, 1, 2, 3, choose.randint(1, longest)))
        style = choose.choice(("any", "any", "corners", "lowest"))
        for k in range(min(length, longest)):
            beats.append(
                {
                    "features": operands(generator, style, engine.multipliers),
                    "first": int(k == 0),
                    "last": int(k == min(length, longest) - 1),
                    "weights": operands(generator, style, engine.lanes, engine.multipliers),
                }
            )
    return beats
