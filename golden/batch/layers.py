"""Convolution, pooling and layer normalization of whole batches, bit-identical to `golden.integer.execute`.

A feature map is a contiguous (N, H, W, C) float32 tensor of int8 values. A psum is a sum of products. When
sum |w| * 128 of every filter is at most 2**24, all its partial sums, in any order, fused or not, are integers that
float32 holds; otherwise the layer runs in float64 (`bounds` keeps psums below 2**31). That takes algorithms that add
products and do nothing else, at full precision. So float32 is given only to matrix products and to oneDNN's direct
convolution, by its name: `torch.nn.functional.conv2d` may choose Winograd or Fourier transforms (NNPACK), which round.
`check_precision` rules out reduced precision.
"""

from __future__ import annotations

import os

import numpy as np
import torch

from triovit.golden.batch.doubles import exponent, power_of_two
from triovit.golden.batch.post import PostProcessing
from triovit.golden.integer.arithmetic import FIXED_POINT_BITS, LAYER_NORM_FRACTION_BITS, signed_range
from triovit.golden.integer.errors import NetworkError
from triovit.golden.integer.nodes import Convolution, LayerNorm, Pool

EXACT_FLOAT32 = 1 << 24  # every integer up to this magnitude is a float32
# Not where oneDNN hands over to the Arm Compute Library, which has Winograd convolutions of its own.
HAS_DIRECT = torch.backends.mkldnn.is_available() and not torch.backends.mkldnn.is_acl_available()
ONEDNN_MODES = ("ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE")

Tensors = dict[str, torch.Tensor]


def check_precision() -> None:
    """Raise NetworkError when PyTorch or oneDNN may round operands of float32 products to bfloat16 or TF32."""
    settings = {
        "torch.backends.mkldnn.matmul.fp32_precision": torch.backends.mkldnn.matmul.fp32_precision,
        "torch.backends.mkldnn.conv.fp32_precision": torch.backends.mkldnn.conv.fp32_precision,
        **{f"the environment variable {name}": os.environ.get(name, "strict").lower() for name in ONEDNN_MODES},
    }
    for name, value in settings.items():
        if value not in ("none", "ieee", "strict"):
            raise NetworkError(
                f"exact execution needs float32 products at full precision: {name} must be unset, ieee "
                f"or strict, not {value}"
            )


class BatchConvolution:
    """A convolution of any kind: (N, H, W, Cin) -> (N, H', W', Cout). `type`: of its psums, float32 or float64."""

    def __init__(self, node: Convolution):
        self.node = node
        self.matrix = (node.kernel, node.stride, node.padding, node.groups) == (1, 1, 0, 1)
        largest = 128 * int(np.abs(node.weight.astype(np.int64)).sum(axis=(1, 2, 3)).max())
        exact = largest <= EXACT_FLOAT32 and (self.matrix or HAS_DIRECT)
        self.type = torch.float32 if exact else torch.float64
        weight = torch.tensor(node.weight, dtype=self.type)
        channels_last = weight.contiguous(memory_format=torch.channels_last)
        self.weight = weight[:, :, 0, 0].T.contiguous() if self.matrix else channels_last
        self.pad_value = torch.tensor(node.pad_value, dtype=torch.float32)
        self.post = PostProcessing(node.post, node.residual is not None)

    def __call__(self, tensors: Tensors) -> Tensors:
        psums = self.psums(tensors[self.node.input])
        residual = None if self.node.residual is None else tensors[self.node.residual].flatten(0, 2)
        return {self.node.name: self.post(psums.flatten(0, 2), residual).view(psums.shape)}

    def psums(self, x: torch.Tensor) -> torch.Tensor:
        """(N, H, W, Cin) -> (N, H', W', Cout) contiguous psums of `type`, without bias."""
        if self.matrix:
            return (x.flatten(0, 2).to(self.type) @ self.weight).unflatten(0, x.shape[:3])
        x = (self._pad(x) if self.node.padding else x).permute(0, 3, 1, 2).to(self.type)
        stride, groups = (self.node.stride,) * 2, self.node.groups
        if self.type == torch.float32:
            psums = torch.mkldnn_convolution(x, self.weight, None, (0, 0), stride, (1, 1), groups)
        else:
            psums = torch.nn.functional.conv2d(x, self.weight, stride=stride, groups=groups)
        return psums.permute(0, 2, 3, 1).contiguous()

    def _pad(self, x: torch.Tensor) -> torch.Tensor:
        n, height, width, channels = x.shape
        p = self.node.padding
        padded = x.new_empty(n, height + 2 * p, width + 2 * p, channels)
        for border in (padded[:, :p], padded[:, -p:], padded[:, p:-p, :p], padded[:, p:-p, -p:]):
            border.copy_(self.pad_value)
        padded[:, p:-p, p:-p] = x
        return padded


class BatchPool:
    """Global average pool: (N, H, W, C) -> (N, 1, 1, C)."""

    def __init__(self, node: Pool):
        self.node, self.post = node, PostProcessing(node.post)

    def __call__(self, tensors: Tensors) -> Tensors:
        sums = tensors[self.node.input].sum(dim=(1, 2), dtype=torch.float64)
        return {self.node.name: self.post(sums)[:, None, None]}


class BatchLayerNorm:
    """Layer normalization over the channels of (N, 1, 1, C): `arithmetic.layer_norm` in float64.

    Exact: the variance is an integer below 2**44, where the rounded square root reaches no integer that the true one
    does not; the same holds for the quotient 2**(L + 16) / r, below 2**17; (N * x - S1) * R stays below 2**37.
    """

    def __init__(self, node: LayerNorm):
        self.node, self.post = node, PostProcessing(node.post)
        self.weight = torch.tensor(node.weight, dtype=torch.float64)

    def __call__(self, tensors: Tensors) -> Tensors:
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
