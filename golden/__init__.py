"""Numbers: float networks, their post-training quantization, and the bit-exact integer network."""
