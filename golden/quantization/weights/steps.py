"""Which steps per filter may have, and the search for the one with the least error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from triovit.golden.quantization import exponents

LARGEST_BIAS = 2.0**30  # leaves as much of the int32 accumulator to the psums
SMALLEST_STEP = 2.0**-30  # of an accumulator, in steps of what it is requantized to
SHRINKS = 80  # steps of 1 % that a search takes down from the min-max step

Rounding = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (weights (F, n), steps (F,)) -> integers (F, n)
Error = Callable[[np.ndarray], np.ndarray]  # difference of the weights (F, n) -> error (F,)


@dataclass(frozen=True)
class StepRule:
    """Limits of the accumulator step of each filter; all arrays (F,).

    unit: step of what the accumulator is requantized to. bias: largest real magnitude that the int32 bias has to hold.
    exponents: rule of `golden.quantization.exponents` where the ratio of the step to the unit is a power of two, None
    where it is any number. most: largest ratio; only for power-of-two ratios, whose requantization cannot shift left.
    """

    unit: np.ndarray
    bias: np.ndarray
    exponents: str | None = None
    most: np.ndarray | float = 1.0

    @property
    def power_of_two(self) -> bool:
        return self.exponents is not None

    @property
    def least(self) -> np.ndarray:
        """Smallest step: the bias fits, and the ratio to the unit is a dyadic number (a filter of zeros, or nearly)."""
        return np.maximum(self.bias / LARGEST_BIAS, self.unit * SMALLEST_STEP)

    def candidates(self, full: np.ndarray, shrinks: int = 0) -> np.ndarray:
        """(K, F) legal steps around `full`, the step that just avoids clipping.

        Power-of-two ratios: those of their rule. Otherwise `full` and `shrinks` steps of 1 % below it.
        """
        if self.exponents is None:
            return np.maximum(full * (1 - 0.01 * np.arange(shrinks + 1))[:, None], self.least)
        lowest = np.ceil(np.log2(self.least / self.unit))
        highest = np.floor(np.log2(np.broadcast_to(self.most, full.shape)))
        tried = exponents.candidates(np.maximum(full, self.least) / self.unit, self.exponents)
        return self.unit * 2.0 ** np.clip(tried, lowest, np.maximum(highest, lowest))


def search(
    weight: np.ndarray, candidates: np.ndarray, rounding: Rounding, error: Error
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(integers (F, n), steps (F,), errors (F,)) of the candidates (K, F) with the least error; the first of equals."""

    def tried(step: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        values = rounding(weight, step)
        return values, step.copy(), error(values * step[:, None] - weight)

    best = tried(candidates[0])
    for step in candidates[1:]:
        new = tried(step)
        better = new[2] < best[2]
        for kept, found in zip(best, new, strict=True):
            kept[better] = found[better]
    return best


def power_error(norm: float) -> Error:
    """sum |difference| ** norm of each filter."""
    return lambda difference: (np.abs(difference) ** norm).sum(axis=1)


def squared_error(difference: np.ndarray) -> np.ndarray:
    """Sum of squares of each filter."""
    return (difference**2).sum(axis=1)
