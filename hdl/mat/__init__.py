"""MAT engine: lanes of multipliers and accumulators for convolutions over input channels and for MatMuls.

`engine` is the engine. (`stalling`, with `lane`, is the one before it, whose streams have a ready.)
"""
