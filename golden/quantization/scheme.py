"""Everything that has been decided about a quantized network, before it is written as integers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from triovit.golden.integer.apot import ApotFormat
from triovit.golden.network.graph import Layer
from triovit.golden.quantization.calibration.observers import Range
from triovit.golden.quantization.encoding import Encoding
from triovit.golden.quantization.reconstruction.result import BlockResult
from triovit.golden.quantization.settings import Settings
from triovit.golden.quantization.weights.quantized import QuantizedWeights


@dataclass(frozen=True)
class Divisor:
    """Of one branch of an attention. offset: of the log2 codes, None for what the largest divisor needs.

    gain: (heads,), factor on the output that takes back the mean error of the log2 rule.
    """

    offset: int | None = None
    gain: np.ndarray | None = None


@dataclass(frozen=True)
class Scheme:
    """layers: in execution order, biases corrected. ranges: of calibration, by point (see `calibrate`).

    encodings: of every tensor, the input's and the logits' included. weights: of every convolution and LayerNorm.
    factors: (C,) of every tensor that has outliers (see `equalization`); its encoding has them in it, its ranges and
    those inside an attention have them taken out.
    doubts: what is done badly, in words. divisors: of every attention, one per branch. reconstruction: what it did to
    each block, if there was one.
    """

    settings: Settings
    layers: tuple[Layer, ...]
    ranges: dict[str, Range]
    encodings: dict[str, Encoding]
    weights: dict[str, QuantizedWeights]
    factors: dict[str, np.ndarray] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()
    divisors: dict[str, tuple[Divisor, ...]] = field(default_factory=dict)
    reconstruction: tuple[BlockResult, ...] = ()

    @property
    def power_of_two(self) -> bool:
        """Whether every requantization is a shift."""
        return self.settings.scales == "power-of-two"

    @property
    def key_apot(self) -> ApotFormat | None:
        """Levels of K in K^T V. K has no step that could adapt, so that the window ends at 128, whatever its width."""
        bits = self.settings.apot_exponent_bits
        return ApotFormat(bits, low=8 - (1 << bits)) if self.settings.attention_apot else None
