"""R-MAC engine: reconfigurable multiplier-accumulators for every layer type of an EfficientViT.

`operands` is what each multiplier gets, `array` the multipliers, `rows` what makes rows of their sums, `engine` all of
it with its control. (`stalling`, with `lane`, `cell` and `skew`, is the engine before it, whose streams have a ready.)
"""
