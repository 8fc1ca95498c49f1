"""EfficientViT: the float model, its blocks and presets, its published checkpoints, and its layers."""
