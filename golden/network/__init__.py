"""Float EfficientViT: model, checkpoints, random weights, image preprocessing, data sets, evaluation."""
