"""Multipliers: in pairs with a shared operand for the engines' arrays, with adders for everything else.

`pair` is two multipliers, for every technology; `packed` is the same two products in one DSP48E2 of Xilinx
UltraScale+, with `dsp48e2` as the primitive; `choice` tells which of them a technology has. `multiply_add` is a
multiplier between two adders, `wide_multiplier` two of them.
"""
