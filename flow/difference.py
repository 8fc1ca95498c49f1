"""Where two executions of a network differ: first differing element of each tensor, and the layer it belongs to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Difference:
    """One tensor that is not what the integer model gives.

    layer: the layer that computes it. tensor: its name, another one for attention's intermediates. core: of the
    machine. index: of the first differing element (C, H, W). elements: how many differ, of `size`.
    """

    layer: str
    tensor: str
    core: int
    index: tuple[int, ...]
    expected: int
    found: int
    elements: int
    size: int

    def __str__(self) -> str:
        what = f"layer {self.layer}" + (f", tensor {self.tensor}" if self.tensor != self.layer else "")
        return (
            f"{what}, index {list(self.index)}: integer model {self.expected}, RTL {self.found} "
            f"({self.elements:,} of {self.size:,} elements differ, core {self.core})"
        )


def layer_of(tensor: str, layers) -> str:
    """The layer that computes a tensor: its own name, or for an intermediate `<layer>.<what>` the layer's."""
    return tensor if tensor in layers else tensor.rpartition(".")[0]


def find_difference(
    layer: str, tensor: str, expected: np.ndarray, found: np.ndarray, core: int = 0
) -> Difference | None:
    """The first differing element in C order, None if equal; raises ValueError for unequal shapes."""
    if expected.shape != found.shape:
        raise ValueError(f"{tensor}: the integer model has shape {expected.shape}, the RTL {found.shape}")
    different = np.argwhere(expected != found)
    if not len(different):
        return None
    index = tuple(int(k) for k in different[0])
    return Difference(
        layer, tensor, core, index, int(expected[index]), int(found[index]), len(different), expected.size
    )
