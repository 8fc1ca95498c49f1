"""MAT engine: lanes of multipliers and accumulators for convolutions over input channels and for MatMuls."""
