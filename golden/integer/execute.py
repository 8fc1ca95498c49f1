"""Execution of an integer network on images: the reference every other execution is compared with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from triovit.golden.integer.errors import NetworkError
from triovit.golden.integer.network import INPUT, IntegerNetwork


def centre(pixels: np.ndarray) -> np.ndarray:
    """uint8 pixels of any shape -> int8 of the same shape: minus 128, which is the highest bit turned over."""
    return (pixels ^ np.uint8(0x80)).view(np.int8)


def pixels_to_input(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 pixels -> (3, H, W) int8: minus 128; normalization is folded into the first layer."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise NetworkError(f"pixels must be (H, W, 3) uint8, not {pixels.shape} {pixels.dtype}")
    return centre(pixels).transpose(2, 0, 1).copy()


def execute(
    network: IntegerNetwork, image: np.ndarray, *, keep: bool = False, progress: Callable[[str], None] | None = None
) -> dict[str, np.ndarray]:
    """Run one image. image: int8 of the network's input shape.

    Returns every tensor by name when `keep`, else only the output. progress is called with each node's name.
    Tensors are int8 (feature maps, log2 codes) or int16 (wide logits, uniform divisors). Raises NetworkError for a
    wrong image.
    """
    if image.shape != tuple(network.input_shape) or image.dtype != np.int8:
        raise NetworkError(f"image must be int8 {tuple(network.input_shape)}, not {image.dtype} {image.shape}")
    tensors = {INPUT: image}
    last_use = {name: i for i, node in enumerate(network.nodes) for name in node.inputs}
    for i, node in enumerate(network.nodes):
        if progress:
            progress(node.name)
        tensors.update(node.run(tensors))
        if not keep:
            for name in [n for n in tensors if n != network.output and last_use.get(n, -1) <= i]:
                del tensors[name]
    return tensors
