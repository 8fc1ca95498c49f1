"""ReLU linear attention of whole batches in float64, bit-identical to `golden.integer.execute`.

`Bound` keeps all sums of products below 2**31; the records are exact for the reasons given in `post`.
"""

from __future__ import annotations

import numpy as np
import torch

from triovit.golden.batch.doubles import dyadic_factor, power_of_two, rounded_exponent
from triovit.golden.integer.arithmetic import DIVIDEND_BITS, MAX_DIVISOR_CODE, MAX_UNIFORM_DIVISOR, signed_range
from triovit.golden.integer.nodes import Attention
from triovit.golden.integer.records import PostParameters

INT8, DIVIDEND = signed_range(8), signed_range(DIVIDEND_BITS)


class HeadRecords:
    """Records, one per head, for float64 psums (N, heads, rows, columns), which are overwritten."""

    def __init__(self, post: PostParameters):
        self.scale = dyadic_factor(post.m1, post.n1).view(-1, 1, 1)
        self.offset = torch.tensor(post.bias, dtype=torch.float64).view(-1, 1, 1) * self.scale + 0.5
        self.zero_point = torch.tensor(post.zero_point, dtype=torch.float64).view(-1, 1, 1)

    def shift(self, psums: torch.Tensor) -> torch.Tensor:
        """rshift((psum + bias) * M, n)."""
        return psums.mul_(self.scale).add_(self.offset).floor_()

    def requantize(self, psums: torch.Tensor) -> torch.Tensor:
        """sat8(zp + rshift((psum + bias) * M, n))."""
        return self.saturate(self.shift(psums))

    def saturate(self, values: torch.Tensor) -> torch.Tensor:
        """sat8(zp + value)."""
        return values.add_(self.zero_point).clamp_(*INT8)


class BatchAttention:
    """Attention: one or more (N, H, W, heads * 3 * dim) -> (N, H, W, branches * heads * dim), and the intermediates."""

    def __init__(self, node: Attention):
        self.node = node
        self.product, self.key_sum, self.divide, self.divisor_scale = (
            [HeadRecords(post) for post in records]
            for records in (node.product, node.key_sum, node.divide, node.divisor_scale)
        )
        self.key_levels = None
        if node.key_apot is not None:
            self.key_levels = torch.from_numpy(node.key_apot.nearest(np.arange(128))).double()

    def __call__(self, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        node, result, outputs = self.node, {}, []
        for branch, name in enumerate(node.inputs):
            n, height, width, _ = tensors[name].shape
            x = tensors[name].view(n, height * width, node.heads, 3, node.dim).permute(3, 0, 2, 1, 4)
            x = x.to(torch.float64, memory_format=torch.contiguous_format)  # (q k v, N, heads, tokens, dim)
            q, k, v = x[0].relu(), x[1].relu(), x[2]
            if self.key_levels is not None:
                k = self.key_levels[k.long()]
            kv = self.product[branch].requantize(v.transpose(2, 3) @ k)  # (N, heads, dim of v, dim of k)
            sums = self.key_sum[branch].requantize(k.sum(2, keepdim=True))  # (N, heads, 1, dim)
            code, divisor = self._code(q @ sums.transpose(2, 3), branch)  # (N, heads, tokens, 1)
            dividend = self.divide[branch].shift(q @ kv.transpose(2, 3)).clamp_(*DIVIDEND)  # (N, heads, tokens, dim)
            # Half up. Exact: a power of two divides exactly; other quotients, of 24 bits and 8 bits, are further than
            # the rounding from the next integer and a half.
            out = self.divide[branch].saturate(dividend.div_(divisor).add_(0.5).floor_())
            outputs.append(out.transpose(1, 2).reshape(n, height, width, -1))
            result |= {
                f"{node.name}.kv{branch}": kv,
                f"{node.name}.sum{branch}": sums[:, :, 0],
                f"{node.name}.code{branch}": code[:, :, :, 0],
            }
        return result | {node.name: torch.cat(outputs, dim=3).float()}

    def _code(self, divisor: torch.Tensor, branch: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes of the divisors, and the float64 values that they stand for."""
        if self.node.divisor == "uniform":
            code = self.divisor_scale[branch].shift(divisor).clamp_(0, MAX_UNIFORM_DIVISOR)
            return code, code.clamp(min=1)
        code = (rounded_exponent(divisor) + self.node.log2_offset[branch]).clamp_(0, MAX_DIVISOR_CODE)
        return code, power_of_two(code)
