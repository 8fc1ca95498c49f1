"""The integer weights of a network: how they are distributed, and which scheme each filter has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from triovit.golden.integer.apot import ApotFormat
from triovit.golden.integer.network import IntegerNetwork
from triovit.golden.integer.nodes import Convolution, LayerNorm


@dataclass(frozen=True)
class WeightScheme:
    """Of a filter's weights: uniform with `bits` bits (4 or 8), or additive powers of two of the format `apot`."""

    bits: int = 8
    apot: ApotFormat | None = None

    @property
    def label(self) -> str:
        if self.apot is None:
            return f"uniform {self.bits} bits"
        return f"APoT {self.apot.width} bits, exponents {self.apot.low} to {self.apot.high}"

    @property
    def levels(self) -> np.ndarray:
        """All values that a weight can have, ascending int64."""
        if self.apot is not None:
            return self.apot.levels
        limit = Convolution.WEIGHT_LIMITS[self.bits]
        return np.arange(-limit, limit + 1)


@dataclass(frozen=True)
class LayerWeights:
    """Of a convolution or LayerNorm (one filter). filters: number of filters by scheme, only those that occur.

    counts: (levels,) weights of each level by scheme.
    """

    name: str
    filters: dict[WeightScheme, int]
    counts: dict[WeightScheme, np.ndarray]

    @property
    def size(self) -> int:
        return sum(int(counts.sum()) for counts in self.counts.values())

    @property
    def zeros(self) -> float:
        """Share of the weights that are 0."""
        return sum(int(c[len(c) // 2]) for c in self.counts.values()) / self.size

    @property
    def ends(self) -> float:
        """Share of the weights at the smallest or largest level of their scheme."""
        return sum(int(c[0] + c[-1]) for c in self.counts.values()) / self.size

    def entropy(self, scheme: WeightScheme) -> float:
        """Bits a weight of the filters of one scheme, from how often each level occurs."""
        share = self.counts[scheme][self.counts[scheme] > 0] / self.counts[scheme].sum()
        return max(0.0, -float((share * np.log2(share)).sum()))

    def used(self, scheme: WeightScheme) -> int:
        """Levels that occur."""
        return int((self.counts[scheme] > 0).sum())


def layer_weights(network: IntegerNetwork) -> list[LayerWeights]:
    """The weights of all layers that have any, in execution order."""
    return [_layer(node) for node in network.nodes if isinstance(node, (Convolution, LayerNorm))]


def _layer(node: Convolution | LayerNorm) -> LayerWeights:
    if isinstance(node, LayerNorm):
        parts = {WeightScheme(): node.weight[None]}
    else:
        additive = node.apot_filters if node.apot_filters.size else np.zeros(len(node.weight), dtype=bool)
        parts = {WeightScheme(node.weight_bits): node.weight[~additive]} if not additive.all() else {}
        if additive.any():
            parts[WeightScheme(apot=node.apot)] = node.weight[additive]
    counts = {}
    for scheme, weight in parts.items():
        levels = scheme.levels  # weights are levels: the node checks that
        counts[scheme] = np.bincount(np.searchsorted(levels, weight.reshape(-1)), minlength=len(levels))
    return LayerWeights(node.name, {scheme: len(weight) for scheme, weight in parts.items()}, counts)
