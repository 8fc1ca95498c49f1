"""Observers of extremes: the range of a tensor over many images, of all channels, a group of them or each.

Every observer has `observe(values)` for (N, C, ...) values of one batch and `range()` for the result. The ends are
rounded to 12 significant bits, so that a machine's order of summation rarely shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from triovit.golden.quantization.settings import QuantizationError

SIGNIFICANT_BITS = 12
Extremes = tuple[torch.Tensor, torch.Tensor]  # low, high: (groups,) float64


@dataclass(frozen=True)
class Range:
    """low, high: (groups,) float64; the range of each group of channels."""

    low: np.ndarray
    high: np.ndarray

    @property
    def bound(self) -> np.ndarray:
        """Largest magnitude of each group."""
        return np.maximum(np.abs(self.low), np.abs(self.high))

    def divided(self, factors: np.ndarray) -> Range:
        """Every group's range over its positive factor (groups,)."""
        return Range(self.low / factors, self.high / factors)

    def merged(self, groups: int) -> Range:
        """The ranges of `groups` groups, each of as many consecutive ones."""
        return Range(self.low.reshape(groups, -1).min(axis=1), self.high.reshape(groups, -1).max(axis=1))

    def rounded(self) -> Range:
        """Both ends to 12 significant bits, ties to even."""
        return Range(*(_round(ends) for ends in (self.low, self.high)))


class MinMaxObserver:
    """Smallest and largest value. name: for errors. group: channels that share a range, 0 for all of them."""

    def __init__(self, name: str, group: int = 0):
        self.name = name
        self.group = group
        self._extremes: Extremes | None = None

    def observe(self, values: torch.Tensor) -> None:
        """values: (N, C, ...). Raises QuantizationError for NaN or infinity."""
        values = grouped(values, self.group)
        low, high = values.amin((0, 2)), values.amax((0, 2))
        if not bool(torch.isfinite(low).all() and torch.isfinite(high).all()):
            raise QuantizationError(f"{self.name}: the float network's values are not finite numbers")
        found = low.double(), high.double()
        self._extremes = found if self._extremes is None else self._merge(self._extremes, found)

    def range(self) -> Range:
        """Raises QuantizationError if nothing was observed."""
        if self._extremes is None:
            raise QuantizationError(f"{self.name}: no calibration image was observed")
        low, high = self._extremes
        return Range(low.numpy(), high.numpy()).rounded()

    def _merge(self, old: Extremes, new: Extremes) -> Extremes:
        return torch.minimum(old[0], new[0]), torch.maximum(old[1], new[1])


class MovingAverageObserver(MinMaxObserver):
    """Exponential moving average of the extremes of batches: r = m r + (1 - m) b for a batch's extreme b.

    The first batch gives r its start. momentum: m, 0 <= m < 1. The result depends on the order of the images, their
    last ones count most: images should come mixed, not sorted by class.
    """

    def __init__(self, name: str, momentum: float, group: int = 0):
        super().__init__(name, group)
        self._momentum = momentum

    def _merge(self, old: Extremes, new: Extremes) -> Extremes:
        m = self._momentum
        return m * old[0] + (1 - m) * new[0], m * old[1] + (1 - m) * new[1]


def grouped(values: torch.Tensor, group: int) -> torch.Tensor:
    """(N, C, ...) -> (N, groups, values of a group); group 0: all channels are one."""
    n, channels = values.shape[:2]
    return values.reshape(n, channels // group if group else 1, -1)


def _round(values: np.ndarray) -> np.ndarray:
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.round(mantissa * 2.0**SIGNIFICANT_BITS), exponent - SIGNIFICANT_BITS)
