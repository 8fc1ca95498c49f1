"""Cycle-accurate references of the array engines' handshake, and stimulus for the R-MAC engine.

The references count enabled cycles and know when a group's results are due; they have no pipeline registers. Results
come from the engines' `model`.
"""

from __future__ import annotations

import random
from collections import deque

import numpy as np

from triovit.hdl.rmac.stalling import RMACMode


class EngineReference:
    """An array frozen by one enable, with a drain of rows. A beat is a dict of payload fields with first and last.

    latency(beat): cycles from acceptance of a group's last beat to its first row, unstalled. rows(beats): the payloads
    a group delivers. Call `outputs` and then `clock` once a cycle.
    """

    def __init__(self, latency, rows):
        self.latency, self.rows = latency, rows
        self.now = 0  # enabled cycles so far
        self.group = []
        self.pending = deque()  # (enabled cycle in which the drain takes them, rows)
        self.drain = deque()

    def admissible(self, beat) -> bool:
        return True

    def outputs(self, beat, o_ready: bool):
        """(i.ready, o.payload or None) of this cycle; `beat` is None while i.valid is low."""
        self.due = bool(self.pending) and self.pending[0][0] == self.now
        self.enable = not self.due or not self.drain or (len(self.drain) == 1 and o_ready)
        ready = self.enable and (beat is None or self.admissible(beat))
        return ready, self.drain[0] if self.drain else None

    def clock(self, beat, o_ready: bool) -> None:
        accepted = beat is not None and self.enable and self.admissible(beat)
        if self.drain and o_ready:
            self.drain.popleft()
        if self.due and self.enable:
            assert not self.drain
            self.drain.extend(self.pending.popleft()[1])
        if accepted:
            self.accept(beat)
        self.now += self.enable

    def accept(self, beat) -> None:
        self.group = [beat] if beat["first"] else [*self.group, beat]
        if beat["last"]:
            self.pending.append((self.now + self.latency(beat) - 1, self.rows(self.group)))


class RMACReference(EngineReference):
    """Adds the bubbles between a POINTWISE beat and one of another mode."""

    def __init__(self, engine):
        self.engine = engine
        self.quiet = 0  # enabled cycle from which self-accumulating beats are accepted
        super().__init__(lambda beat: engine.latency(mode_of(beat)), self.results)

    def admissible(self, beat) -> bool:
        return mode_of(beat) is RMACMode.POINTWISE or self.now >= self.quiet

    def accept(self, beat) -> None:
        super().accept(beat)
        if mode_of(beat) is RMACMode.POINTWISE:
            self.quiet = self.now + self.engine.macs + 1

    def results(self, beats):
        mode, width = mode_of(beats[-1]), max(self.engine.lanes, self.engine.macs)
        features, weights = (np.array([beat[name] for beat in beats]) for name in ("features", "weights"))
        rows = self.engine.model(mode, features, weights)
        if mode is not RMACMode.POINTWISE:
            rows = rows[: beats[-1]["rows"]]
        padded = [[int(x) for x in row] + [0] * (width - len(row)) for row in rows]
        return [{"acc": row, "last": int(k == len(rows) - 1)} for k, row in enumerate(padded)]


def mode_of(beat) -> RMACMode:
    """The reserved value 3 behaves as OUTER."""
    return RMACMode(min(beat["mode"], RMACMode.OUTER.value))


def operands(generator, style: str, *shape: int):
    """int8 operands: any value, corners mostly, or all -128."""
    if style == "lowest":
        return np.full(shape, -128)
    if style == "corners":
        return generator.choice([-128, -127, -1, 0, 1, 127], size=shape)
    return generator.integers(-128, 128, size=shape)


def rmac_beats(engine, seed: int, groups: int, modes=(0, 1, 2, 3)):
    """Beats of random groups of 1 to 30 beats; elements and fields that a mode must ignore are random as well."""
    choose, generator = random.Random(seed), np.random.default_rng(seed)
    beats, mode = [], choose.choice(modes)
    for _ in range(groups):
        if choose.random() < 0.4:
            mode = choose.choice(modes)
        length = choose.choice((1, 1, 1, 2, 3, engine.lanes, choose.randint(1, 30)))
        style = choose.choice(("any", "any", "corners", "lowest"))
        for k in range(length):
            beats.append(
                {
                    "features": operands(generator, style, engine.lanes, engine.macs),
                    "weights": operands(generator, style, engine.lanes, engine.macs),
                    "mode": mode,
                    "first": int(k == 0),
                    "last": int(k == length - 1),
                    "rows": choose.choice((engine.lanes, choose.randint(0, engine.lanes))),
                }
            )
    return beats
