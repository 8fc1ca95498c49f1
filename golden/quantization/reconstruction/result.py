"""What reconstruction did to each block."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class BlockResult:
    """One block. signal: mean square of the float output on held-out calibration images. before, after: mean squared
    error of the quantized output there; after is never larger. kept: "nothing", "learned", "bias" or "learned, bias":
    which candidate won. iterations: run. changed: weights that left their first integer. weights: all of them.
    """

    name: str
    signal: float
    before: float
    after: float
    kept: str
    iterations: int
    changed: int
    weights: int

    @property
    def gain(self) -> float:
        """Decibel of signal to quantization noise won."""
        if self.before == self.after:
            return 0.0
        return 10 * math.log10(self.before / self.after) if self.after else math.inf

    @property
    def changed_percent(self) -> float:
        """Per cent of the weights that left their first integer."""
        return 100 * self.changed / max(self.weights, 1)

    @property
    def sqnr(self) -> float:
        """Signal to quantization noise afterwards in dB, error before the block included; infinite without error."""
        if not self.after:
            return math.inf
        return 10 * math.log10(self.signal / self.after) if self.signal else -math.inf
