"""The instruction set and the register map, once, for everything that needs them."""
