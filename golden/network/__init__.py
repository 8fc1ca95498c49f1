"""Float EfficientViT: model, layers as a graph, checkpoints, random weights, the bundled network."""
