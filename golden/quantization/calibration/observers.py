"""Observers: the range of a tensor over many images, a channel or a group of channels at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from golden.quantization.settings import QuantizationError

BINS = 1024
SIGNIFICANT_BITS = 12


@dataclass(frozen=True)
class Range:
    """low, high: (groups,) float64; the range of each group of channels."""

    low: np.ndarray
    high: np.ndarray

    @property
    def bound(self) -> np.ndarray:
        """Largest magnitude of each group."""
        return np.maximum(np.abs(self.low), np.abs(self.high))


class MinMaxObserver:
    """Smallest and largest value. name: for errors. group: channels that share a range, 0 for all of them."""

    def __init__(self, name: str, group: int = 0):
        self.name = name
        self.group = group
        self._low = self._high = None

    def observe(self, values: torch.Tensor) -> None:
        """values: (N, C, ...). Raises QuantizationError for NaN or infinity."""
        grouped = _grouped(values, self.group)
        low, high = grouped.amin((0, 2)), grouped.amax((0, 2))
        if not bool(torch.isfinite(low).all() and torch.isfinite(high).all()):
            raise QuantizationError(f"{self.name}: the float network's values are not finite numbers")
        self._low = low if self._low is None else torch.minimum(self._low, low)
        self._high = high if self._high is None else torch.maximum(self._high, high)

    def range(self) -> Range:
        """Ranges, rounded to 12 significant bits so that a machine's order of summation rarely shows."""
        if self._low is None:
            raise QuantizationError(f"{self.name}: no calibration image was observed")
        return Range(*(_round(bound.double().numpy()) for bound in (self._low, self._high)))


class PercentileObserver:
    """Percentiles p and 100 - p from a histogram of 1024 bins between the ends of a known range, a group.

    The ends given are the upper edge of the bin that reaches p and the lower edge of the one that passes 100 - p.
    """

    def __init__(self, name: str, full: Range, percentile: float, group: int = 0):
        self.name = name
        self.group = group
        self._full = full
        self._tail = (100 - percentile) / 100
        self._low = torch.from_numpy(full.low)
        width = torch.from_numpy(full.high - full.low)
        self._scale = torch.where(width > 0, BINS / width.clamp_min(1e-300), 0.0)
        self._counts = torch.zeros(len(full.low) * BINS, dtype=torch.int64)

    def observe(self, values: torch.Tensor) -> None:
        """values: (N, C, ...) as seen before by the observer that gave the full range."""
        grouped = _grouped(values, self.group)
        low, scale = (t.to(grouped.dtype)[None, :, None] for t in (self._low, self._scale))
        bins = ((grouped - low) * scale).long().clamp_(0, BINS - 1)
        bins += torch.arange(grouped.shape[1])[None, :, None] * BINS
        self._counts += torch.bincount(bins.flatten(), minlength=len(self._counts))

    def range(self) -> Range:
        counts = self._counts.reshape(-1, BINS).numpy()
        if not counts.any():
            raise QuantizationError(f"{self.name}: no calibration image was observed")
        total = counts.sum(axis=1, keepdims=True)
        below = counts.cumsum(axis=1)
        first = (below > total * self._tail).argmax(axis=1)
        last = (below >= total * (1 - self._tail)).argmax(axis=1)
        step = (self._full.high - self._full.low) / BINS
        return Range(_round(self._full.low + first * step), _round(self._full.low + (last + 1) * step))


def _grouped(values: torch.Tensor, group: int) -> torch.Tensor:
    """(N, C, ...) -> (N, groups, values of a group)."""
    n, channels = values.shape[:2]
    return values.reshape(n, channels // group if group else 1, -1)


def _round(values: np.ndarray) -> np.ndarray:
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.round(mantissa * 2.0**SIGNIFICANT_BITS), exponent - SIGNIFICANT_BITS)
