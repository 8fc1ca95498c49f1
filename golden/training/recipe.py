"""Every number of a training run, and the learning rate over its steps."""

from __future__ import annotations

import math
from dataclasses import dataclass

from triovit.golden.errors import TriovitError
from triovit.golden.network.architectures import preset_names
from triovit.golden.training.images import SIDE
from triovit.golden.validation import SEED, at_least, faults, one_of, within

START_DIVISOR = 25  # of the peak rate, before the warm-up
END_DIVISOR = 10_000  # of the peak rate, after the last step
RULES = {  # beside that of the preset, which must be one of an architecture
    "resolution": (f"{SIDE} or {2 * SIDE}", lambda side: side in (SIDE, 2 * SIDE)),
    "epochs": at_least(1),
    "batch": at_least(2),
    "peak_rate": ("above 0 and at most 1", lambda rate: 0 < rate <= 1),
    "warm_up": within(0, 1),
    "weight_decay": within(0, 1),
    "label_smoothing": ("at least 0 and below 1", lambda s: 0 <= s < 1),
    "clip": ("above 0", lambda norm: norm > 0),
    "padding": within(0, SIDE - 1),
    "cutout": within(0, SIDE),
    "cutout_share": within(0, 1),
    "brightness": ("at least 0 and below 1", lambda b: 0 <= b < 1),
    "statistics_images": at_least(2),
    "seed": SEED,
}


class TrainingError(TriovitError, ValueError):
    """A training run that cannot start or go on; the message is one line."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    preset, resolution: the network's size and the side of its input in pixels.
    epochs: passes over the training images. batch: images per step, at least 2; the last images of an epoch's order
    that fill no batch are left out.
    peak_rate, warm_up: AdamW's one-cycle rate, see `rate`; warm_up is the share of the steps before the peak, 0..1.
    weight_decay: of matrices and filters; biases and normalizations have none.
    label_smoothing: 0 <= s < 1. clip: largest norm of the gradient.
    padding: pixels of reflected border (on the 32 x 32 image) from which a crop is taken, 0..31.
    cutout: side of the grey square, in pixels of the 32 x 32 image, 0..32. cutout_share: of the images that get one,
    0..1.
    brightness: b, images are scaled by a factor in 1 - b .. 1 + b, 0 <= b < 1.
    statistics_images: plain training images for the final batch-norm statistics.
    seed: of the initial weights, the order of the images and the augmentation.

    Raises TrainingError naming every field that breaks a rule, the rule and the value.
    """

    preset: str = "b0"
    resolution: int = 64
    epochs: int = 60
    batch: int = 128
    peak_rate: float = 3e-3
    warm_up: float = 0.2
    weight_decay: float = 0.05
    label_smoothing: float = 0.05
    clip: float = 5.0
    padding: int = 4
    cutout: int = 8
    cutout_share: float = 0.5
    brightness: float = 0.2
    statistics_images: int = 6400
    seed: int = 0

    def __post_init__(self):
        if found := faults(self, {"preset": one_of(*preset_names()), **RULES}):
            raise TrainingError("; ".join(found))

    def steps_per_epoch(self, images: int) -> int:
        """Whole batches of `images` training images; raises TrainingError if there is none."""
        if images < self.batch:
            raise TrainingError(f"batch must be at most the number of training images {images}, not {self.batch}")
        return images // self.batch

    def rate(self, step: int, steps: int) -> float:
        """Learning rate of step `step` of `steps`, 0 <= step < steps.

        Half a cosine from peak / 25 up to the peak over the first `warm_up` of the steps, then half a cosine down to
        peak / 10 000. Source: one-cycle policy (Smith and Topin, 2017), with cosines.
        """
        position = step / max(1, steps - 1)
        if position < self.warm_up:
            low, share = self.peak_rate / START_DIVISOR, position / self.warm_up
        else:
            low = self.peak_rate / END_DIVISOR
            share = 1 - (position - self.warm_up) / (1 - self.warm_up) if self.warm_up < 1 else 1.0
        return low + (self.peak_rate - low) * (1 - math.cos(math.pi * share)) / 2
