"""Learned rounding of weights (AdaRound, as BRECQ and Trio-ViT's release use it)."""

from __future__ import annotations

import numpy as np
import torch

from triovit.golden.network.graph import ConvolutionLayer
from triovit.golden.quantization.encoding import Encoding
from triovit.golden.quantization.weights.quantized import QuantizedWeights, by_filter
from triovit.golden.quantization.weights.uniform import limit

ZETA, GAMMA = 1.1, -0.1  # ends of the stretched sigmoid, so that 0 and 1 are reached


class Rounding:
    """Between which two integers each weight of a convolution lies, and a learned decision for one of them.

    The neighbours are floor and ceil of the real weight in steps of its filter, or the APoT levels around it, within
    the range of the weights. `alpha` is learned: h = clamp(sigmoid(alpha) * (zeta - gamma) + gamma, 0, 1) is the way
    from the lower to the upper one. It starts where the real weight is.
    """

    def __init__(self, layer: ConvolutionLayer, weights: QuantizedWeights, source: Encoding):
        self.layer = layer
        self.weights = weights
        unit = weights.step[:, None, None, None] / by_filter(source.scale, layer.folded)
        self.lower, self.upper = neighbours(layer.folded.weight / unit, weights)
        gap = self.upper - self.lower
        share = (layer.folded.weight / unit - self.lower) / np.where(gap > 0, gap, 1)
        share = torch.from_numpy(np.where(gap > 0, np.clip(share, 0, 1), 0.0)).float()
        self.alpha = torch.logit((share - GAMMA) / (ZETA - GAMMA)).requires_grad_()
        self._base = torch.from_numpy(self.lower * unit).float()
        self._width = torch.from_numpy(gap * unit).float()
        self._open = torch.from_numpy(gap > 0)

    def share(self) -> torch.Tensor:
        """h of every weight."""
        return (torch.sigmoid(self.alpha) * (ZETA - GAMMA) + GAMMA).clamp(0, 1)

    def soft(self) -> torch.Tensor:
        """Real weights in between, differentiable."""
        return self._base + self._width * self.share()

    def regularizer(self, beta: float) -> torch.Tensor:
        """Sum of 1 - |2 h - 1|**beta: 0 when all decisions are made."""
        return (self._open * (1 - (2 * self.share() - 1).abs() ** beta)).sum()

    def hard(self) -> np.ndarray:
        """The integers that the decisions give, int64."""
        values = np.where(self.share().detach().numpy() >= 0.5, self.upper, self.lower).astype(np.int64)
        check(values, self.lower, self.upper, self.weights, self.layer.name)
        return values


def neighbours(ratio: np.ndarray, weights: QuantizedWeights) -> tuple[np.ndarray, np.ndarray]:
    """The integers below and above real weights in steps, (F, ...); equal where a weight is one or out of range."""
    largest = limit(weights.bits)
    lower, upper = (np.clip(end(ratio), -largest, largest) for end in (np.floor, np.ceil))
    if weights.apot is not None and weights.apot_filters.any():
        levels = weights.apot.levels.astype(np.float64)
        inside = np.clip(ratio[weights.apot_filters], levels[0], levels[-1])
        lower[weights.apot_filters] = levels[np.searchsorted(levels, inside, side="right") - 1]
        upper[weights.apot_filters] = levels[np.searchsorted(levels, inside, side="left")]
    return lower, upper


def check(values: np.ndarray, lower: np.ndarray, upper: np.ndarray, weights: QuantizedWeights, name: str) -> None:
    """Every weight is one of its neighbours, and within its format; AssertionError says where not (a defect)."""
    additive, levels = np.zeros(len(values), dtype=bool), np.zeros(0)
    if weights.apot is not None and len(weights.apot_filters):
        additive, levels = weights.apot_filters, weights.apot.levels
    for what, holds in (
        ("is not rounded to a neighbour", (values == lower) | (values == upper)),
        ("is no APoT level", np.isin(values[additive], levels)),
        (f"leaves {weights.bits} bits", np.abs(values[~additive]) <= limit(weights.bits)),
    ):
        if not holds.all():
            raise AssertionError(f"{name}: a weight {what}")
