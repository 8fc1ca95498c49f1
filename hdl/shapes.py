"""Shapes of the numbers that travel through the engines."""

from __future__ import annotations

from amaranth.hdl import signed

from triovit.golden.integer import arithmetic

OPERAND = signed(8)
"""A feature or a weight."""

PSUM = signed(arithmetic.ACCUMULATOR_BITS)
"""A sum of products, finished or not."""
