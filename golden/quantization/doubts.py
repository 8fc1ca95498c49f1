"""What a quantization does badly and cannot mend: one line each for the network's metadata and for people."""

from __future__ import annotations

import math

import numpy as np

from triovit.golden.network.graph import readers
from triovit.golden.quantization import equalization
from triovit.golden.quantization.calibration import few_images
from triovit.golden.quantization.calibration.calibrate import CHANNELS
from triovit.golden.quantization.calibration.observers import Range
from triovit.golden.quantization.encoding import LEVELS
from triovit.golden.quantization.equalization import largest_weights
from triovit.golden.quantization.rules import TensorRule
from triovit.golden.quantization.scheme import Scheme

FEW_STEPS = 8  # of 255; typical channels of trained networks have more, with every method
NO_FACTOR = "no factor mends that, because what reads it weighs that channel as much: look at it in the float network"


def doubts(scheme: Scheme, rules: dict[str, TensorRule], observed: dict[str, Range], images: int) -> tuple[str, ...]:
    """Too few calibration images; tensors whose typical channel is left with few of the 255 steps of a scale that it
    shares with an outlier. observed: ranges of calibration, with factors in them.

    Not of inputs of a LayerNorm, which compares channels, and not of those to which the settings give a common scale
    where channels or heads could have their own; with few images only what equalization would have mended.
    """
    few = few_images.warning(images)
    found = [few] if few else []
    missed = {} if scheme.settings.equalization else equalization.outlier_factors(scheme.layers, observed)
    for layer in scheme.layers[:-1]:
        spread = equalization.spread(observed[layer.name + CHANNELS])
        weight = largest_weights(readers(scheme.layers, layer.name), layer.channels)
        if weight is None and not (rules[layer.name].rectified and scheme.settings.head_scales):
            continue
        share = (spread > 0).astype(float) if weight is None else np.sqrt(spread * weight)
        steps, widest = _coarsest(spread / scheme.encodings[layer.name].scale, share, rules[layer.name].scales)
        if steps < FEW_STEPS and (layer.name in missed or not few):
            reason = "equalization, which mends that, is switched off" if layer.name in missed else NO_FACTOR
            found.append(
                f"{layer.name}: beside channel {widest} a typical channel has {steps:.2g} of {LEVELS} steps; {reason}"
            )
    return tuple(found)


def _coarsest(steps: np.ndarray, share: np.ndarray, scales: int) -> tuple[float, int]:
    """(steps of the typical channel, the channel with most) of that part of a tensor, of those that have one scale,
    where the typical channel has the fewest. steps: (C,) of each channel's range."""
    members = len(steps) // scales
    if members == 1:
        return math.inf, 0
    parts = zip(steps.reshape(scales, members), share.reshape(scales, members), strict=True)
    typical = [equalization.middle(part, by) if by.any() else math.inf for part, by in parts]
    worst = int(np.argmin(typical))
    return typical[worst], worst * members + int(steps[worst * members :][:members].argmax())
