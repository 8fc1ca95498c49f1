"""PyTorch's modes, which belong to the whole process: set aside while this package computes.

Whoever calls may be inside `torch.autocast`, may have set another default type or device, or flush denormal numbers.
What is computed here must not depend on any of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

SMALLEST = 1e-310  # a float64 that is not normal: flushed, it is 0


@contextmanager
def plain_modes() -> Iterator[None]:
    """In a `with` block, or in a function that it decorates: modes as PyTorch starts with them, on the CPU.

    No autocast, default type float32, no flushing of denormal numbers. The caller's modes are back afterwards.
    Libraries (oneDNN on or off) and precisions of products are not touched.
    """
    dtype, flushed = torch.get_default_dtype(), _flushes()
    torch.set_default_dtype(torch.float32)
    if flushed:
        torch.set_flush_denormal(False)
    try:
        with torch.device("cpu"), torch.autocast("cpu", enabled=False):
            yield
    finally:
        torch.set_default_dtype(dtype)
        if flushed:
            torch.set_flush_denormal(True)


def _flushes() -> bool:
    """Whether this thread flushes denormal numbers; PyTorch can be told to, but not asked."""
    return not torch.mul(torch.full((), SMALLEST, dtype=torch.float64, device="cpu"), 1.0).item()
