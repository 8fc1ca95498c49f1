"""Convolutions of whole batches, bit-identical to `golden.integer.execute`; `precision` says why.

A feature map is a contiguous (N, H, W, C) float32 tensor of int8 values. A psum is a sum of products.
"""

from __future__ import annotations

import numpy as np
import torch

from triovit.golden.batch.post import BatchPostProcessing
from triovit.golden.batch.precision import EXACT_FLOAT32, HAS_DIRECT
from triovit.golden.integer.nodes import Convolution


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
        self.post = BatchPostProcessing(node.post, node.residual is not None)

    def __call__(self, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
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
