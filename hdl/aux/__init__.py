"""Auxiliary processors: requantizer, hardswish, log2 quantizer, shifter array and the post-processing made of them.

What post-processing is made of runs freely: ports `i` and `o`, an item in every cycle, registers without reset or
enable, an attribute `latency` and a method `model` that calls `golden.integer.arithmetic`.
"""
