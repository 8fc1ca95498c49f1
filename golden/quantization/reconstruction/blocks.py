"""What is reconstructed as one: consecutive layers of one block, for example a residual branch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from triovit.golden.network import graph
from triovit.golden.network.graph import Layer
from triovit.golden.quantization.settings import QuantizationError


@dataclass(frozen=True)
class Block:
    """Consecutive layers. name: of the float module that computes the same.

    The only tensor from outside that its layers read is `source`, the only one that later blocks read is `output`.
    """

    name: str
    layers: tuple[Layer, ...]

    @property
    def source(self) -> str:
        return self.layers[0].inputs[0]

    @property
    def output(self) -> str:
        return self.layers[-1].name


def split(layers: Sequence[Layer]) -> list[Block]:
    """Blocks in execution order, as the layers name them.

    Raises QuantizationError for layers that read more than their own block and the last tensor of the one before.
    """
    blocks = [Block(name, members) for name, members in graph.blocks(layers)]
    source = blocks[0].source
    for block in blocks:
        own = {source, *(layer.name for layer in block.layers)}
        for layer in block.layers:
            if not {*layer.inputs, graph.addend(layer) or source} <= own:
                raise QuantizationError(f"{layer.name}: reads tensors from outside of its block")
        source = block.output
    return blocks
