"""EfficientViT: the float model, its blocks and presets, and its layers as the quantizer sees them."""
