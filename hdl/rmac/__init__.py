"""R-MAC engine: reconfigurable multiplier-accumulators for every layer type of an EfficientViT.

`operands` is what each multiplier gets, `array` the multipliers, `rows` what makes rows of their sums, `engine` all of
it with its control.
"""
