"""Multiply-accumulators in pairs with a shared operand, what the engines' arrays are made of.

`pair` is two multipliers, for every technology; `packed` is the same two products in one DSP48E2 of Xilinx
UltraScale+, with `dsp48e2` as the primitive; `styles` is the choice that a configuration makes.
"""
