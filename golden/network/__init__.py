"""Float networks: architectures, their layers, checkpoints, random weights, the bundled network."""
