"""Integer networks on batches of images, fast: the bits of `golden.integer.execute`, computed by PyTorch.

All arithmetic runs on floats that hold integers exactly; `precision`, `post`, `layer_norm` and `attention` say why.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from triovit.golden.batch.attention import BatchAttention
from triovit.golden.batch.convolution import BatchConvolution
from triovit.golden.batch.layer_norm import BatchLayerNorm
from triovit.golden.batch.pool import BatchPool
from triovit.golden.batch.precision import check_precision
from triovit.golden.integer.errors import NetworkError
from triovit.golden.integer.execute import centre
from triovit.golden.integer.network import INPUT, IntegerNetwork
from triovit.golden.integer.nodes import Attention, Convolution, LayerNorm, Node, Pool
from triovit.golden.torch_modes import plain_modes

# Values of the largest feature map of all images that run together (8 MiB in float32): more images share the cost of
# starting an operation, fewer stay in the L3 cache. Measured: flat up to four times this, slower below.
BATCH_VALUES = 1 << 21

# Step of each kind of node, made of the node: called with the tensors before it by name, (N, H, W, C) float32 feature
# maps of integers, it returns those it computes, intermediates as they stand in the integer network with N in front.
STEPS: dict[type[Node], Callable] = {
    Convolution: BatchConvolution,
    Attention: BatchAttention,
    Pool: BatchPool,
    LayerNorm: BatchLayerNorm,
}


class BatchExecutor:
    """A network set up for batches of images; the results of an image do not depend on its batch.

    Runs on one thread: operations are too short for barriers between threads and for threads that share Python's lock.
    `parallel.fan_out` gives every core a process. Modes of PyTorch that the caller is in (autocast, default types) do
    not matter. Raises NetworkError for a network that does not validate, or with a kind of node that is not in STEPS.
    """

    @plain_modes()
    def __init__(self, network: IntegerNetwork):
        self.network = network.validate()
        self.shapes = network.shapes()
        self.steps = [_step(node) for node in network.nodes]
        self.images = max(1, BATCH_VALUES // max(math.prod(shape) for shape in self.shapes.values()))
        self.wide = {name for node in network.nodes for name in node.wide}
        self.last_use = {name: i for i, node in enumerate(network.nodes) for name in node.inputs}
        self.last_use[network.output] = len(network.nodes)

    def logits(self, pixels: np.ndarray | torch.Tensor) -> torch.Tensor:
        """(N, H, W, C) uint8 pixels, N >= 1 -> (N, outputs) int64, the values of the network's last tensor.

        Raises NetworkError for other pixels, and when float32 products are set to a reduced precision.
        """
        return torch.cat(self._map(self._logits, pixels))

    def tensors(self, pixels: np.ndarray | torch.Tensor) -> dict[str, np.ndarray]:
        """Every tensor of `execute(..., keep=True)` by name, in its order and type, images in front: (N, C, H, W), ...

        pixels and errors as of `logits`.
        """
        parts = self._map(self._tensors, pixels)
        return {name: np.concatenate([part[name] for part in parts]) for name in self.shapes}

    @plain_modes()
    def _map(self, function: Callable, pixels: np.ndarray | torch.Tensor) -> list:
        """function(integers of some of the images, (n, H, W, C) int8) for all of them, in order."""
        pixels = np.ascontiguousarray(pixels)
        channels, height, width = self.network.input_shape
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (height, width, channels) or not len(pixels):
            raise NetworkError(
                f"pixels must be (N, {height}, {width}, {channels}) uint8 with N at least 1, "
                f"not {pixels.shape} {pixels.dtype}"
            )
        check_precision()
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with torch.inference_mode():
                return [function(part) for part in torch.from_numpy(centre(pixels)).split(self.images)]
        finally:
            torch.set_num_threads(threads)

    def _logits(self, integers: torch.Tensor) -> torch.Tensor:
        tensors = {INPUT: integers.float()}
        for i, step in enumerate(self.steps):
            tensors |= step(tensors)
            tensors = {name: tensor for name, tensor in tensors.items() if self.last_use.get(name, 0) > i}
        return tensors[self.network.output].permute(0, 3, 1, 2).flatten(1).long()

    def _tensors(self, integers: torch.Tensor) -> dict[str, np.ndarray]:
        tensors = {INPUT: integers.float()}
        for step in self.steps:
            tensors |= step(tensors)
        for name in (INPUT, *(node.name for node in self.network.nodes)):
            tensors[name] = tensors[name].permute(0, 3, 1, 2)
        return {
            name: tensor.numpy().astype(np.int16 if name in self.wide else np.int8) for name, tensor in tensors.items()
        }


def _step(node: Node) -> Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
    if type(node) not in STEPS:
        raise NetworkError(
            f"{node.name}: no batch execution of {type(node).__name__}; golden.integer.execute runs it, "
            "and a row in golden.batch.executor.STEPS adds one"
        )
    return STEPS[type(node)](node)
