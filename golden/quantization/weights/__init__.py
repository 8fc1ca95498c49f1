"""Float weights to integers: uniform, additive powers of two, power-of-two steps."""
