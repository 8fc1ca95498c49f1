"""Settings of the quantizer, and the one error it raises."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

METHODS = ("minmax", "percentile")
SHIFTING = ("none", "projection", "all")
MAX_FRACTION_BITS = 12


class QuantizationError(ValueError):
    """A network or calibration set that cannot be quantized; the message is one line."""


@dataclass(frozen=True)
class Settings:
    """How ranges become scales and zero points.

    method: range of a tensor from calibration, "minmax" or "percentile". percentile: 50 < p <= 100, upper end; the
    lower end is 100 - p; only for "percentile". symmetric: zero point 0 wherever shifting does not give one
    (the papers' setting); otherwise affine. migration: inputs of depthwise layers and of the pool have a scale a
    channel (Trio-ViT's channel-wise migration). shifting: which tensors have a zero point a channel with a common
    scale (Trio-ViT's filter-wise shifting): "projection" the inputs of a block's last pointwise layer, "all"
    every input of a pointwise, grouped or fully connected layer. head_scales: q, k and v have a scale a head,
    otherwise a scale a tensor. batch: calibration images a run of the float network.

    Raises QuantizationError naming the field, the rule and the value.
    """

    method: str = "minmax"
    percentile: float = 99.99
    symmetric: bool = False
    migration: bool = True
    shifting: str = "all"
    head_scales: bool = True
    batch: int = 32

    def __post_init__(self):
        if self.method not in METHODS:
            raise QuantizationError(f"method must be one of {', '.join(METHODS)}, not {self.method!r}")
        if not isinstance(self.percentile, (int, float)) or not 50 < self.percentile <= 100:
            raise QuantizationError(f"percentile must be above 50 and at most 100, not {self.percentile!r}")
        if self.shifting not in SHIFTING:
            raise QuantizationError(f"shifting must be one of {', '.join(SHIFTING)}, not {self.shifting!r}")
        for name in ("symmetric", "migration", "head_scales"):
            if not isinstance(getattr(self, name), bool):
                raise QuantizationError(f"{name} must be True or False, not {getattr(self, name)!r}")
        if not isinstance(self.batch, int) or self.batch < 1:
            raise QuantizationError(f"batch must be a positive integer, not {self.batch!r}")

    def to_dict(self) -> dict:
        """JSON values for the metadata of a network."""
        return dataclasses.asdict(self)
