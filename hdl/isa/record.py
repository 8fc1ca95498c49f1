"""The post-processing record of a channel, once: for the RTL, the compiler and the simulators.

The Amaranth layout is `hdl.isa.layouts.RECORD_LAYOUT`. What the fields do is in docs/engines/post-processing.md.
"""

from __future__ import annotations

import numpy as np

from triovit.hdl.isa.fields import Field, total_bits

RECORD = (
    Field("bias", 32, "Added to the psum", signed=True),
    Field("m1", 16, "First multiplier"),
    Field("n1", 8, "First shift, 0..47"),
    Field("zero_point", 8, "Added last", signed=True),
    Field("m2", 16, "Hardswish: second multiplier"),
    Field("n2", 8, "Hardswish: second shift, 0..47"),
    Field("residual_shift", 8, "Left shift of the residual's term, 0..3 bytes"),
    Field("residual_multiplier", 32, "Multiplier of the residual, 0..2**24 - 1"),
)
"""A channel's record as it stands in memory: 128 bits, little endian, first field in the lowest bits. Of n1 and n2
the low 6 bits count, of the residual's shift the low 2 and of its multiplier the low 24."""

RESIDUAL_BYTES = 3
"""Largest shift of the residual's term, in bytes."""

PRODUCT_BITS = 48
"""Bits of the sum of a channel's two products, accumulator times `m1` and the residual's term."""

RECORD_BYTES = total_bits(RECORD) // 8
"""Bytes of a channel's record; the records of a channel block fill as many words of buffer P."""

RECORD_DTYPE = np.dtype([(field.name, f"<{'i' if field.signed else 'u'}{field.bits // 8}") for field in RECORD])
"""The record as a NumPy type."""
