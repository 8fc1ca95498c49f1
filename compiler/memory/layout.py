"""Where tensors stand in memory: planes of words, one place for every tensor, with the border its readers need."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from triovit.compiler.errors import CompileError
from triovit.golden.integer.network import INPUT, IntegerNetwork
from triovit.golden.integer.nodes import Attention, Convolution
from triovit.hdl.config.accelerator import AcceleratorConfig

ALIGNMENT = 64  # bytes; a multiple of the beat where beats are longer
KINDS = ("map", "wide", "kv", "sum", "code")


def align(value: int, multiple: int) -> int:
    """Smallest multiple that is not below `value`."""
    return -(-value // multiple) * multiple


@dataclass(frozen=True)
class TensorLayout:
    """One tensor in memory.

    kind: "map" (C, H, W), planes of channel blocks, (H + 2 border) x (W + 2 border) words each; "wide" (C, 1, 1) of
    16 bits, a plane of low bytes and one of high bytes; the attention intermediates "kv" (heads, v, k), "sum"
    (heads, k) and "code" (heads, tokens, byte 0 of a word each), a plane a head.
    offset: bytes from the start of a core's feature maps. block: channels per word. plane_bytes: from plane to plane.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    offset: int
    border: int
    block: int
    plane_bytes: int

    @property
    def blocks(self) -> int:
        """Channel blocks of the last or only channel axis of the tensor's kind."""
        channels = self.shape[0] if self.kind in ("map", "wide") else self.shape[-1]
        return -(-channels // self.block)

    @property
    def planes(self) -> int:
        if self.kind == "map":
            return self.blocks
        return 2 if self.kind == "wide" else self.shape[0]

    @property
    def row_words(self) -> int:
        """Words from row to row of a map."""
        return self.shape[2] + 2 * self.border

    @property
    def bytes(self) -> int:
        return self.planes * self.plane_bytes

    def address(self, plane: int = 0, row: int = 0, column: int = 0) -> int:
        """Byte offset of a pixel's word in a core's feature maps; rows and columns from -border on."""
        words = (row + self.border) * self.row_words + column + self.border if self.kind == "map" else column
        return self.offset + plane * self.plane_bytes + words * self.block

    def _words(self, memory: np.ndarray, base: int) -> np.ndarray:
        """(planes, words, block) int8 view of the tensor; memory: uint8."""
        start = base + self.offset
        planes = memory[start : start + self.bytes].reshape(self.planes, self.plane_bytes)
        return planes[:, : self._plane_words * self.block].reshape(self.planes, -1, self.block).view(np.int8)

    @property
    def _plane_words(self) -> int:
        return plane_words(self.kind, self.shape, self.border, self.block)

    def write(self, memory: np.ndarray, base: int, value: np.ndarray) -> None:
        """Put a (C, H, W) int8 map into memory (padded channels become 0); the border stays."""
        channels, height, width = self.shape
        padded = np.zeros((self.blocks * self.block, height, width), dtype=np.int8)
        padded[:channels] = value
        self._interior(memory, base)[:] = padded.reshape(self.blocks, self.block, height, width).transpose(0, 2, 3, 1)

    def _interior(self, memory: np.ndarray, base: int) -> np.ndarray:
        _, height, width = self.shape
        b = self.border
        words = self._words(memory, base).reshape(self.planes, height + 2 * b, width + 2 * b, self.block)
        return words[:, b : b + height, b : b + width]

    def write_border(self, memory: np.ndarray, base: int, values: np.ndarray) -> None:
        """Fill the border of a map with (C,) int8 padding values."""
        channels, height, width = self.shape
        b = self.border
        padded = np.zeros(self.blocks * self.block, dtype=np.int8)
        padded[:channels] = values
        words = self._words(memory, base).reshape(self.planes, height + 2 * b, width + 2 * b, self.block)
        fill = padded.reshape(self.planes, 1, 1, self.block)
        words[:, :b], words[:, b + height :] = fill, fill
        words[:, :, :b], words[:, :, b + width :] = fill, fill

    def read(self, memory: np.ndarray, base: int) -> np.ndarray:
        """The tensor as an array of its shape: int8, int16 for `wide`."""
        if self.kind == "map":
            channels, height, width = self.shape
            return self._interior(memory, base).transpose(0, 3, 1, 2).reshape(-1, height, width)[:channels].copy()
        words = self._words(memory, base)
        if self.kind == "wide":
            flat = words.reshape(2, -1)[:, : self.shape[0]]
            return (flat[1].astype(np.int16) * 256 + flat[0].view(np.uint8)).reshape(self.shape)
        if self.kind == "kv":
            heads, dim, _ = self.shape
            tiles = words.reshape(
                heads, self.blocks, self.blocks, self.block, self.block
            )  # head, g, r, v lane, k channel
            return tiles.transpose(0, 1, 3, 2, 4).reshape(heads, dim, dim).copy()
        if self.kind == "sum":
            return words.reshape(self.shape).copy()
        return words[:, :, 0].copy()


def plane_words(kind: str, shape: tuple[int, ...], border: int, block: int) -> int:
    """Words of one plane."""
    if kind == "map":
        return (shape[1] + 2 * border) * (shape[2] + 2 * border)
    if kind == "wide":
        return -(-shape[0] // block)
    if kind == "kv":
        return shape[1] * shape[2] // block
    return shape[1] // block if kind == "sum" else shape[1]


def borders(network: IntegerNetwork) -> dict[str, tuple[int, np.ndarray]]:
    """Border and its (C,) values for every tensor that a padded convolution reads; refuses readers that disagree."""
    result: dict[str, tuple[int, np.ndarray]] = {}
    for node in network.nodes:
        if isinstance(node, Convolution) and node.padding:
            border, values = result.get(node.input, (0, node.pad_value))
            if not np.array_equal(values, node.pad_value):
                raise CompileError(f"{node.name}: its padding values for {node.input} differ from another layer's")
            result[node.input] = (max(border, node.padding), values)
    return result


def tensor_layouts(
    network: IntegerNetwork, config: AcceleratorConfig, trace: bool, without: frozenset[str] = frozenset()
) -> dict[str, TensorLayout]:
    """Every tensor's place in a core's feature maps, in execution order.

    Attention intermediates have one only when traced, the tensors named in `without` never.
    """
    padded = borders(network)
    kinds = {}
    for node in network.nodes:
        if isinstance(node, Attention):
            for branch in range(len(node.inputs)):
                kinds |= {f"{node.name}.{kind}{branch}": kind for kind in ("kv", "sum", "code")}
        elif isinstance(node, Convolution) and node.post.activation == "wide":
            kinds[node.name] = "wide"
    layouts, offset = {}, 0
    for name, shape in network.shapes().items():
        kind = kinds.get(name, "map")
        if (kind in ("kv", "sum", "code") and not trace) or name in without:
            continue
        border = padded[name][0] if name in padded else 0
        plane = align(plane_words(kind, shape, border, config.block) * config.block, config.data_bytes)
        layout = TensorLayout(name, kind, tuple(shape), offset, border, config.block, plane)
        layouts[name] = layout
        offset = align(offset + layout.bytes, max(ALIGNMENT, config.data_bytes))
    assert INPUT in layouts
    return layouts
