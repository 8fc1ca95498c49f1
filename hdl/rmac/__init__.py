"""R-MAC engine: reconfigurable multiplier-accumulators for every layer type of an EfficientViT.

`cell` is one multiplier-accumulator, `skew` the operand delay line, `lane` a chain of cells, `engine` the array with
its control and result drain.
"""
