"""Ranges of the channels of a tensor, in real units and in integers: what migration and shifting do to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from triovit.golden.quantization.calibration.observers import Range
from triovit.golden.quantization.encoding import Encoding
from triovit.golden.report.activations import TensorCodes

SHOWN = 3  # tensors of a kind that are drawn


@dataclass(frozen=True)
class ChannelRanges:
    """Of one tensor over some images. codes: in integers. real: in real units, None if unknown; origin: "float network"
    or "decoded integers". encoding: None if unknown."""

    name: str
    codes: Range
    real: Range | None
    origin: str
    encoding: Encoding | None

    @property
    def spread(self) -> float | None:
        """Range of the whole tensor over the range of the median channel; None if unknown or without limit."""
        if self.real is None:
            return None
        median = float(np.median(self.real.high - self.real.low))
        return float(self.real.high.max() - self.real.low.min()) / median if median else None

    @property
    def span_after(self) -> float:
        """Integers that the range of the median channel spans."""
        return float(np.median(self._span()))

    @property
    def span_before(self) -> float | None:
        """Integers that it would span if all channels had the largest of the tensor's scales."""
        if self.encoding is None:
            return None
        return float(np.median(self._span() * self.encoding.scale / self.encoding.scale.max()))

    @property
    def held(self) -> tuple[float, float, float] | None:
        """Width, in real units, that 256 steps of one scale have to hold: if symmetric around 0, with one zero point,
        with a zero point for each channel. None if unknown."""
        if self.real is None:
            return None
        low, high = np.minimum(self.real.low, 0), np.maximum(self.real.high, 0)
        return (2 * float(self.real.bound.max()), float(high.max() - low.min()), float((high - low).max()))

    def _span(self) -> np.ndarray:
        return self.codes.high - self.codes.low


def channel_ranges(name: str, codes: TensorCodes, real: Range | None, encoding: Encoding | None) -> ChannelRanges:
    """Ranges of a tensor; without those of the float network the integers are decoded, with an encoding."""
    found = Range(codes.low.astype(np.float64), codes.high.astype(np.float64))
    if real is not None or encoding is None:
        return ChannelRanges(name, found, real, "float network" if real is not None else "", encoding)
    return ChannelRanges(
        name, found, Range(encoding.decode(found.low), encoding.decode(found.high)), "decoded integers", encoding
    )


def most_uneven(tensors: list[ChannelRanges], count: int = SHOWN) -> list[ChannelRanges]:
    """The tensors whose channels differ most (without real ranges: evenly spaced ones), in their order."""
    if all(tensor.real is not None for tensor in tensors):
        chosen = sorted(range(len(tensors)), key=lambda k: -(tensors[k].spread or 0))[:count]
    else:
        count = min(count, len(tensors))
        chosen = [k * len(tensors) // count for k in range(count)]
    return [tensors[k] for k in sorted(chosen)]
