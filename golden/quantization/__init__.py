"""Post-training quantization: a float EfficientViT and calibration images -> an integer network."""
