"""How long and how fast reconstruction learns."""

from __future__ import annotations

from dataclasses import dataclass

from triovit.golden.quantization.settings import QuantizationError


@dataclass(frozen=True)
class Options:
    """The defaults are those of Trio-ViT's release and of BRECQ, which it builds on.

    images: calibration images used at most, every eighth of them held out. iterations: steps that learn the rounding of
    a block's weights. scale_iterations: steps that then learn the scales of its tensors. attention_iterations: steps
    that after that learn the scales inside its attention alone. joint: the first steps learn everything at once, and
    the others are left out. batch: images per step. values: of the block's largest tensor, in a step, at most; large
    maps get smaller batches (0: no limit). rounding_rate, scale_rate: Adam's learning rates, the latter follows a
    cosine to 0. regularization: weight of the term that drives roundings to 0 or 1; its exponent falls from first_beta
    to last_beta after the share warm_up of the steps, in which it is off. norm: p of the L_p loss of scales.
    rounding_norm: of roundings.
    """

    images: int = 1024
    iterations: int = 20000
    scale_iterations: int = 5000
    attention_iterations: int = 5000
    joint: bool = False
    batch: int = 32
    values: int = 0
    rounding_rate: float = 1e-3
    scale_rate: float = 4e-4
    regularization: float = 0.5
    first_beta: float = 20.0
    last_beta: float = 2.0
    warm_up: float = 0.2
    norm: float = 2.4
    rounding_norm: float = 2.0


OPTIONS = {
    "published": Options(),
    "fast": Options(images=256, iterations=300, joint=True, values=1 << 21, rounding_rate=2e-2, scale_rate=2e-3),
}


def find_options(reconstruction: str) -> Options:
    """Options of a value of `Settings.reconstruction` that reconstructs; raises QuantizationError for another one."""
    if reconstruction not in OPTIONS:
        raise QuantizationError(
            f"reconstruction must be one of {', '.join(OPTIONS)} to reconstruct, not {reconstruction!r}"
        )
    return OPTIONS[reconstruction]
