"""Settings of the quantizer, and the one error it raises."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from triovit.golden.errors import TriovitError
from triovit.golden.quantization.exponents import RULES as EXPONENTS
from triovit.golden.validation import SEED, at_least, faults, one_of, within

OBSERVERS = ("minmax", "ema", "percentile", "lp")
WEIGHT_OBSERVERS = ("minmax", "lp")
SHIFTING = ("none", "projection", "all")
SCALES = ("dyadic", "power-of-two")
DIVISORS = ("log2", "uniform")
RECONSTRUCTIONS = ("none", "fast", "published")
WEIGHT_BITS = (4, 8)
EXPONENT_BITS = (2, 3)  # more would not fit 16-bit levels
MAX_FRACTION_BITS = 12
RULES = {
    "observer": one_of(*OBSERVERS),
    "percentile": ("above 50 and at most 100", lambda p: 50 < p <= 100),
    "momentum": ("at least 0 and below 1", lambda m: 0 <= m < 1),
    "norm": ("above 0 and at most 100", lambda p: 0 < p <= 100),
    "shifting": one_of(*SHIFTING),
    "smoothing_exponent": within(0, 1),
    "weight_observer": one_of(*WEIGHT_OBSERVERS),
    "depthwise_bits": one_of(*WEIGHT_BITS),
    "apot_share": within(0, 1),
    "apot_exponent_bits": one_of(*EXPONENT_BITS),
    "scales": one_of(*SCALES),
    "exponents": one_of(*EXPONENTS),
    "divisor": one_of(*DIVISORS),
    "reconstruction": one_of(*RECONSTRUCTIONS),
    "batch": at_least(1),
    "seed": SEED,
}


UNSAID = [("equalization", True), ("widening", True)]


class QuantizationError(TriovitError, ValueError):
    """A network or calibration set that cannot be quantized; the message is one line."""


@dataclass(frozen=True)
class Settings:
    """How a float network becomes integers. `golden.quantization.methods` names the sets of the papers.

    Ranges of activations:
    observer: "minmax", "ema" (exponential moving average of the extremes of batches), "percentile" or "lp" (the range
    with the least L_p error, OMSE). percentile: 50 < p <= 100, upper end; the lower end is 100 - p. momentum: of "ema",
    0 <= m < 1. norm: p of "lp", positive. symmetric: zero point 0 wherever shifting does not give one (the papers'
    setting); otherwise affine. migration: inputs of depthwise layers and of the pool have a scale per channel
    (Trio-ViT's channel-wise migration). shifting: which tensors have a zero point per channel with a common scale
    (Trio-ViT's filter-wise shifting): "projection" the inputs of a block's last pointwise layer, "all" every input of a
    pointwise, grouped or fully connected layer. head_scales: q, k and v have a scale per head, otherwise a scale per
    tensor. smoothing: channels of a pointwise layer's input have power-of-two factors that its weights take back
    (P2-ViT's smoothing), where shifting gives channels ranges of their own. smoothing_exponent: its t, 0..1: 1 moves
    all of the imbalance into the weights. equalization: outlier channels have power-of-two factors that their readers
    take back (see `golden.quantization.equalization`); nothing changes where there are none. widening: with fewer than
    32 calibration images every channel's range holds a share of its tensor's (`calibration.few_images`).

    Weights:
    weight_observer: step of a filter from its largest weight ("minmax") or the least L_p error ("lp"), where it is not
    searched by the layer's output error (4 bits, powers of two).
    depthwise_bits: 4 or 8, of all depthwise layers' weights. apot_share: share of the filters of pointwise layers with
    additive-powers-of-two weights, 0..1 (M2-ViT: 0.5). apot_exponent_bits: bits of each of a code's two exponents, 2 or
    3. attention_apot: K of the product K^T V is rounded to the same codes (M2-ViT's half of the attention products).
    bias_correction: biases take back the mean error that rounding the weights causes on the calibration images.

    Requantization: scales: "dyadic", or "power-of-two" (P2-ViT: every requantization a shift). exponents: of the powers
    of two, "adaptive" (the least error of four) or "nearest", "ceil", "floor"; see `golden.quantization.exponents`.
    Attention: divisor: "log2" with the leading-one rule, or "uniform" 8 bits (an ablation; no hardware divides).
    divisor_search: the log2 offset of a layer is the one with the least output error on calibration images, otherwise
    it comes from the largest divisor. divisor_gain: a factor a head that takes back the mean error of the log2 rule.

    reconstruction: "none", or block-wise learning of weight rounding and activation scales with the "published" or the
    "fast" numbers of iterations. batch: calibration images per run of the float network. seed: of every random choice.

    Raises QuantizationError naming every field that breaks a rule, the rule and the value.
    """

    observer: str = "minmax"
    percentile: float = 99.99
    momentum: float = 0.9
    norm: float = 2.4
    symmetric: bool = False
    migration: bool = True
    shifting: str = "all"
    head_scales: bool = True
    smoothing: bool = False
    smoothing_exponent: float = 0.5
    equalization: bool = True
    widening: bool = False
    weight_observer: str = "minmax"
    depthwise_bits: int = 8
    apot_share: float = 0.0
    apot_exponent_bits: int = 3
    attention_apot: bool = False
    bias_correction: bool = False
    scales: str = "dyadic"
    exponents: str = "adaptive"
    divisor: str = "log2"
    divisor_search: bool = False
    divisor_gain: bool = False
    reconstruction: str = "none"
    batch: int = 32
    seed: int = 0

    def __post_init__(self):
        if found := faults(self, RULES):
            raise QuantizationError("; ".join(found))
        if self.exponents != "adaptive" and self.scales != "power-of-two":
            raise QuantizationError(f"exponents {self.exponents!r} need scales 'power-of-two', not {self.scales!r}")
        if self.divisor == "uniform" and (self.divisor_search or self.divisor_gain):
            raise QuantizationError("divisor_search and divisor_gain belong to the log2 divisor, not to 'uniform'")
        if self.divisor_gain and self.scales == "power-of-two":
            raise QuantizationError("divisor_gain needs scales 'dyadic', not 'power-of-two': a shift has no gain")

    def to_dict(self) -> dict:
        """JSON values for a network's metadata; UNSAID is left out, as it is in files from before those settings."""
        values = dataclasses.asdict(self)
        return {name: value for name, value in values.items() if (name, value) not in UNSAID}
