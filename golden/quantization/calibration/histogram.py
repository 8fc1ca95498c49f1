"""Histograms of tensors in a second pass, once their ranges are known, and the percentiles they give."""

from __future__ import annotations

import numpy as np
import torch

from triovit.golden.quantization.calibration.observers import Range, grouped
from triovit.golden.quantization.settings import QuantizationError

BINS = 2048
LARGEST_COUNT = 2**31 - 1  # of the short counters


class Histogram:
    """Counts in 2048 equal bins between the ends of a known range, a group of channels each.

    name: for errors. full: ranges of the same values from `MinMaxObserver`. group: as there. Values that the rounding
    of the range left outside, by 2**-12 of its ends, count in the outer bins. A group that has one value only counts it
    in the first bin.
    """

    def __init__(self, name: str, full: Range, group: int = 0):
        self.name = name
        self.group = group
        self.full = full
        self._low = torch.from_numpy(full.low)
        width = torch.from_numpy(full.high - full.low)
        self._scale = torch.where(width > 0, BINS / width, 0.0).clamp_max(torch.finfo(torch.float32).max)
        self._counts = torch.zeros(len(full.low) * BINS, dtype=torch.int32)  # large networks have 100 000 groups
        self._total = 0  # values of each group

    def observe(self, values: torch.Tensor) -> None:
        """values: (N, C, ...), finite."""
        values = grouped(values, self.group)
        groups = values.shape[1]
        low, scale = (t.to(values.dtype)[None, :, None] for t in (self._low, self._scale))
        bins = ((values - low) * scale).long().clamp_(0, BINS - 1)
        bins += torch.arange(groups)[None, :, None] * BINS
        self._total += values.numel() // groups
        if self._total > LARGEST_COUNT:
            self._counts = self._counts.long()
        self._counts += torch.bincount(bins.flatten(), minlength=groups * BINS)

    def counts(self) -> np.ndarray:
        """(groups, bins) int64; raises QuantizationError if nothing was observed."""
        if not self._total:
            raise QuantizationError(f"{self.name}: no calibration image was observed")
        return self._counts.reshape(-1, BINS).numpy().astype(np.int64)


class PercentileObserver(Histogram):
    """Percentiles p and 100 - p, a group.

    The ends given are the upper edge of the bin that reaches p and the lower edge of the one that passes 100 - p.
    percentile: p, 50 < p <= 100.
    """

    def __init__(self, name: str, full: Range, percentile: float, group: int = 0):
        super().__init__(name, full, group)
        self._tail = (100 - percentile) / 100

    def range(self) -> Range:
        """Raises QuantizationError if nothing was observed."""
        counts = self.counts()
        total = counts.sum(axis=1, keepdims=True)
        below = counts.cumsum(axis=1)
        first = (below > total * self._tail).argmax(axis=1)
        last = (below >= total * (1 - self._tail)).argmax(axis=1)
        step = (self.full.high - self.full.low) / BINS
        return Range(self.full.low + first * step, self.full.low + (last + 1) * step).rounded()
