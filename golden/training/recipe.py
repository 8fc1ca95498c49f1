"""Every number of a training run, and the learning rate over its steps."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from triovit.golden.errors import TriovitError
from triovit.golden.network.efficientvit.presets import PRESETS
from triovit.golden.training.images import SIDE

START_DIVISOR = 25  # of the peak rate, before the warm-up
END_DIVISOR = 10_000  # of the peak rate, after the last step


class TrainingError(TriovitError, ValueError):
    """A training run that cannot start or go on; the message is one line."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    preset, resolution: the network's size and the side of its input in pixels.
    epochs: passes over the training images. batch: images a step, at least 2; the last images of an epoch's order that
    fill no batch are left out.
    peak_rate, warm_up: AdamW's one-cycle rate, see `rate`; warm_up is the share of the steps before the peak, 0..1.
    weight_decay: of matrices and filters; biases and normalizations have none.
    label_smoothing: 0 <= s < 1. clip: largest norm of the gradient.
    padding: pixels of reflected border (on the 32 x 32 image) from which a crop is taken, 0..31.
    cutout: side of the grey square, in pixels of the 32 x 32 image, 0..32. cutout_share: of the images that get one,
    0..1.
    brightness: b, images are scaled by a factor in 1 - b .. 1 + b, 0 <= b < 1.
    statistics_images: plain training images for the final batch-norm statistics.
    seed: of the initial weights, the order of the images and the augmentation.

    Raises TrainingError naming the field, the rule and the value.
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
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            kinds = {"int": (int,), "float": (int, float), "str": (str,)}[field.type]
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise TrainingError(f"{field.name} must be of type {field.type}, not {value!r}")
        for name, rule, holds in (
            ("preset", f"one of {', '.join(PRESETS)}", self.preset in PRESETS),
            ("resolution", f"{SIDE} or {2 * SIDE}", self.resolution in (SIDE, 2 * SIDE)),
            ("epochs", "at least 1", self.epochs >= 1),
            ("batch", "at least 2", self.batch >= 2),
            ("peak_rate", "above 0 and at most 1", 0 < self.peak_rate <= 1),
            ("warm_up", "in 0..1", 0 <= self.warm_up <= 1),
            ("weight_decay", "in 0..1", 0 <= self.weight_decay <= 1),
            ("label_smoothing", "at least 0 and below 1", 0 <= self.label_smoothing < 1),
            ("clip", "above 0", self.clip > 0),
            ("padding", f"in 0..{SIDE - 1}", 0 <= self.padding < SIDE),
            ("cutout", f"in 0..{SIDE}", 0 <= self.cutout <= SIDE),
            ("cutout_share", "in 0..1", 0 <= self.cutout_share <= 1),
            ("brightness", "at least 0 and below 1", 0 <= self.brightness < 1),
            ("statistics_images", "at least 2", self.statistics_images >= 2),
            ("seed", "in 0..2**32 - 1", 0 <= self.seed < 1 << 32),
        ):
            if not holds:
                raise TrainingError(f"{name} must be {rule}, not {getattr(self, name)!r}")

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
