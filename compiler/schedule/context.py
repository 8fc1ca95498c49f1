"""What all lowerings share: configuration, memory map, pool of constants, buffer capacities."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from triovit.compiler.errors import CompileError
from triovit.compiler.memory.layout import TensorLayout, align
from triovit.compiler.requirements import remedy
from triovit.compiler.schedule.transfer import Transfer
from triovit.golden.integer.records import PostParameters
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.isa.instructions import INSTRUCTION_BYTES
from triovit.hdl.isa.names import PostMode
from triovit.hdl.isa.record import RECORD_BYTES

CONSTANT_ALIGNMENT = 64


@dataclass
class Context:
    """config: the machine. tensors: memory map. trace: attention intermediates are stored as well. by_channels: tensors
    that are finished channel block by channel block, all rows of one before the next."""

    config: AcceleratorConfig
    tensors: dict[str, TensorLayout]
    trace: bool
    pool: list[bytes] = field(default_factory=list)
    pool_bytes: int = 0
    by_channels: set[str] = field(default_factory=set)

    def constant(self, array: np.ndarray) -> int:
        """Append an array's bytes to the constants; returns their offset, aligned to a beat of each port."""
        data = np.ascontiguousarray(array).tobytes()
        offset = self.pool_bytes
        size = align(len(data), max(CONSTANT_ALIGNMENT, self.config.bus_bytes))
        self.pool.append(data.ljust(size, b"\0"))
        self.pool_bytes += size
        return offset

    def constants(self) -> np.ndarray:
        return np.frombuffer(b"".join(self.pool), dtype=np.uint8)

    @property
    def capacity(self) -> dict[str, int]:
        """Words of each buffer; W stands for B and C, which hold the same number."""
        words = self.config.words
        return words | {"W": words["B"]}

    @property
    def record_words(self) -> int:
        """Words of a channel block's records in buffer P."""
        return RECORD_BYTES

    @property
    def step_words(self) -> int:
        """Memory traffic of a step's instructions (load, computation, join, store), in words."""
        return 4 * INSTRUCTION_BYTES // self.config.block

    def beats(self, transfers: list[Transfer]) -> int:
        """Beats of some transfers, for one core."""
        return sum(t.beats(self.config.block, self.config.data_bytes) for t in transfers)

    def block_bytes(self) -> int:
        """Bytes of a channel block's records in memory."""
        return RECORD_BYTES * self.config.block


def post_fields(post: PostParameters) -> dict[str, int]:
    """Instruction fields that choose the post-processing of a node."""
    return {"mode": PostMode[post.activation.upper()], "fraction_bits": post.fraction_bits}


def no_tiling(layer: str, need: dict[str, int], config: AcceleratorConfig) -> CompileError:
    """The error for a layer whose smallest tile does not fit; need: words of the smallest tile by buffer."""
    words = {"B" if buffer == "W" else buffer: count for buffer, count in need.items()}
    over = {buffer: count for buffer, count in words.items() if count > config.words[buffer]}
    told = " and ".join(f"{count} words of buffer {b} (limit {config.words[b]})" for b, count in over.items())
    remedies = ", ".join(remedy(config, buffer, count) for buffer, count in over.items())
    return CompileError(f"{layer}: its smallest tile needs {told}; {remedies}")
