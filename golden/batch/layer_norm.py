"""Layer normalization of whole batches in float64, bit-identical to `golden.integer.execute`."""

from __future__ import annotations

import torch

from triovit.golden.batch.doubles import exponent, power_of_two
from triovit.golden.batch.post import BatchPostProcessing
from triovit.golden.integer.arithmetic import FIXED_POINT_BITS, LAYER_NORM_FRACTION_BITS, signed_range
from triovit.golden.integer.nodes import LayerNorm


class BatchLayerNorm:
    """Layer normalization over the channels of (N, 1, 1, C): `arithmetic.layer_norm` in float64.

    Exact: the variance is an integer below 2**44, where the rounded square root reaches no integer that the true one
    does not; the same holds for the quotient 2**(L + 16) / r, below 2**17; (N * x - S1) * R stays below 2**37.
    """

    def __init__(self, node: LayerNorm):
        self.node, self.post = node, BatchPostProcessing(node.post)
        self.weight = torch.tensor(node.weight, dtype=torch.float64)

    def __call__(self, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        x = tensors[self.node.input].flatten(1).double()
        channels = x.shape[1]
        s1, s2 = x.sum(1, keepdim=True), x.square().sum(1, keepdim=True)
        # A root of 0 may become 1: then all N * x - S1 are 0.
        root = (channels * s2 - s1 * s1 + self.node.epsilon).sqrt().floor().clamp(min=1)
        lead = exponent(root)
        reciprocal = (power_of_two(lead + 16) / root).floor()
        z = (channels * x - s1) * reciprocal * power_of_two(LAYER_NORM_FRACTION_BITS - 16 - lead)
        z = (z + 0.5).floor().clamp(*signed_range(FIXED_POINT_BITS))
        return {self.node.name: self.post(z * self.weight)[:, None, None]}
