"""Ranges from few calibration images: wider where a channel has a range of its own.

One image shows a channel a few of its values: of 2 x 2 pixels in the last stage of a network for small images, often
none above 0. The scale that such a range gives a channel alone saturates nearly every other image. All channels of a
tensor together have seen far more, so that each gets at least a share of their common range: half of it with one image,
less with every doubling, nothing from ENOUGH on.
"""

from __future__ import annotations

import math

import numpy as np

from triovit.golden.quantization.calibration.observers import Range

ENOUGH = 32
LARGEST_SHARE = 0.5  # measured on CIFAR-10 and Caltech-101: docs/results/quantization.md


def share(images: int) -> float:
    """Share of the common range that every channel's holds at least: 0.5 with 1 image, 0 from 32 on."""
    return max(0.0, LARGEST_SHARE * (1 - math.log2(images) / math.log2(ENOUGH)))


def widen(found: Range, images: int) -> Range:
    """A tensor's ranges, one for each of its groups of channels, widened for so few images; one range alone stays."""
    part = share(images)
    if not part:
        return found
    low, high = np.minimum(found.low, 0), np.maximum(found.high, 0)
    return Range(np.minimum(found.low, part * low.min()), np.maximum(found.high, part * high.max()))


def warning(images: int) -> str | None:
    """What to say about so few images, None from ENOUGH on."""
    if images >= ENOUGH:
        return None
    return (
        f"{images} calibration image{'s' if images > 1 else ''}: below {ENOUGH} ranges are guessed in part, and "
        f"accuracy falls; {ENOUGH} are safe, 256 usual"
    )
