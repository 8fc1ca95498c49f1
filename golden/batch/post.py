"""Post-processing of psums for whole batches: bias, activation, requantization and residual, exactly, in float64.

Why float64 is exact here. In a network that validates, `Bound` holds |acc| and |acc + bias| below 2**31 and the sum
|(acc + bias) * M + ((r * R) << s)| below 2**49, its terms below 2**47 and at most 2**48. So x = sum * 2**-n + 1/2 and
all partial results are integers below 2**51 times 2**-(n + 1): float64 holds them, whichever is added first, fused or
not, and floor(x) is `arithmetic.rounding_shift` (n = 0 included: an integer plus 1/2). In the same way the hardswish
product, a 16-bit x times u <= 6 * 2**13 times M2 < 2**16, stays below 2**47. The zero point is added behind the floor:
in front of it, up to 2**7 above a fraction of 47 bits, it could take a 54th bit.

What follows the floor is float32: an integer that is exact up to 2**24, and beyond that keeps its sign and its size, so
that it saturates as it must.
"""

from __future__ import annotations

import torch

from triovit.golden.batch.doubles import dyadic_factor
from triovit.golden.integer.arithmetic import FIXED_POINT_BITS, hardswish_requantize, signed_range
from triovit.golden.integer.records import PostParameters

BLOCK = 1 << 15  # psums worked on at a time: they and two float64 buffers, 640 KiB, stay in a core's L2 cache
LARGEST_OPERAND = signed_range(FIXED_POINT_BITS)[1]  # of hardswish


class BatchPostProcessing:
    """The records of one node, ready for (P, C) psums of any number of pixels P.

    residual: whether the node adds one. All records become rows of C values.
    """

    def __init__(self, post: PostParameters, residual: bool = False):
        self.range = signed_range(16 if post.activation == "wide" else 8)
        self.scale = dyadic_factor(post.m1, post.n1)
        self.offset = torch.tensor(post.bias, dtype=torch.float64) * self.scale + 0.5
        self.zero_point = torch.tensor(post.zero_point, dtype=torch.float32)
        if residual:
            self.residual_scale = dyadic_factor(post.residual_multiplier, post.n1 - post.residual_shift)
        self.hardswish = post.activation == "hardswish"
        if self.hardswish:
            self.three = float(3 << post.fraction_bits)
            self.scale2 = dyadic_factor(post.m2, post.n2)
            self.three_scaled = self.three * self.scale2
            self.half = torch.full_like(self.scale2, 0.5)
            # The result grows with x >= 0, rounded or not: where the largest operand saturates, so does everything
            # above it, and the clip to 16 bits changes nothing.
            end = hardswish_requantize(LARGEST_OPERAND, 1, 0, post.fraction_bits, post.m2, post.n2, post.zero_point)
            self.clip = bool((end < self.range[1]).any())

    def __call__(self, psums: torch.Tensor, residual: torch.Tensor | None = None) -> torch.Tensor:
        """(P, C) float32 or float64 psums without bias -> (P, C) float32 integers; float32 psums are overwritten.

        residual: (P, C) float32 integers in the range of int8.
        """
        pixels, channels = psums.shape
        out = psums if psums.dtype == torch.float32 else torch.empty_like(psums, dtype=torch.float32)
        rows = max(1, min(pixels, BLOCK // channels))
        buffers = torch.empty((2, rows, channels), dtype=torch.float64)
        for start in range(0, pixels, rows):
            stop = min(start + rows, pixels)
            x, buffer = buffers[:, : stop - start]
            x.copy_(psums[start:stop])
            torch.addcmul(self.offset, x, self.scale, out=x)
            if residual is not None:
                buffer.copy_(residual[start:stop])
                torch.addcmul(x, buffer, self.residual_scale, out=x)
            x.floor_()
            if self.hardswish:
                self._hardswish(x, buffer)
            out[start:stop].copy_(x).add_(self.zero_point).clamp_(*self.range)
        return out

    def _hardswish(self, x: torch.Tensor, u: torch.Tensor) -> None:
        """x -> floor(x * clamp(x + 3, 0, 6) * M2 * 2**-n2 + 1/2) in place, 3 and 6 in fixed point. u: a buffer.

        x needs no clip to 16 bits from below: from -3 * 2**13 downwards the product is zero anyway.
        """
        if self.clip:
            x.clamp_(max=LARGEST_OPERAND)
        torch.clamp(x, -self.three, self.three, out=u)
        torch.addcmul(self.three_scaled, u, self.scale2, out=u)  # clamp(x + 3, 0, 6) * M2 * 2**-n2
        torch.addcmul(self.half, x, u, out=x).floor_()
