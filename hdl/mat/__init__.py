"""MAT engine: multiplier-and-adder-tree lanes for convolutions over input channels and for MatMuls.

`lane` is the multipliers, the tree and the accumulator of one output channel, `engine` the array with its control.
"""
