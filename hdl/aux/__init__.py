"""Auxiliary processors: requantizers, hardswish, log2 quantizer, shifter array and the post-processing pipeline.

Everything here is a datapath kernel: ports `i`, `o` and `en`, every register advancing only while `en` is high, one
item a cycle, an attribute `latency` and a method `model` that calls `golden.integer.arithmetic`.
`pipeline.StreamPipeline` turns a kernel into a stream component.
"""
