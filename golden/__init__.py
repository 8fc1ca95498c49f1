"""Numbers: float EfficientViT, its post-training quantization, and the bit-exact integer network."""
