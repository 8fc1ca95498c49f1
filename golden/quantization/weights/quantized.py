"""Integer weights of a layer, and what they stand for."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from triovit.golden.integer.apot import ApotFormat
from triovit.golden.network.graph import FoldedConvolution
from triovit.golden.quantization.encoding import Encoding


@dataclass(frozen=True)
class QuantizedWeights:
    """values: (F, ...) int64, a filter (output channel) a row; APoT levels in the filters that `apot_filters` marks.

    step: (F,) float64, what a 1 in the filter's accumulator is worth: the integers multiply integer activations, so the
    input's scales are in them: real weight = values * step / input scale. bits: of uniform filters. apot: format of the
    marked filters. fraction_bits: of the hardswish operand that the accumulator is requantized to, 0 without one. A
    LayerNorm has one row.
    """

    values: np.ndarray
    step: np.ndarray
    bits: int = 8
    apot: ApotFormat | None = None
    apot_filters: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    fraction_bits: int = 0

    def real(self, conv: FoldedConvolution, source: Encoding) -> np.ndarray:
        """The float weights that the integers stand for, shaped like `conv.weight`."""
        return self.values * self.step[:, None, None, None] / by_filter(source.scale, conv)


def by_filter(values: np.ndarray, conv: FoldedConvolution) -> np.ndarray:
    """Values of the input channels as an array that broadcasts with the weights (Cout, Cin / groups, k, k)."""
    groups = values.reshape(conv.groups, conv.weight.shape[1])
    return groups.repeat(len(conv.weight) // conv.groups, axis=0)[:, :, None, None]
