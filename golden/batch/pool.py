"""Global average pooling of whole batches, bit-identical to `golden.integer.execute`."""

from __future__ import annotations

import torch

from triovit.golden.batch.post import BatchPostProcessing
from triovit.golden.integer.nodes import Pool


class BatchPool:
    """Global average pool: (N, H, W, C) -> (N, 1, 1, C)."""

    def __init__(self, node: Pool):
        self.node, self.post = node, BatchPostProcessing(node.post)

    def __call__(self, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        sums = tensors[self.node.input].sum(dim=(1, 2), dtype=torch.float64)
        return {self.node.name: self.post(sums)[:, None, None]}
