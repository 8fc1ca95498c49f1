"""The state of a machine: memory, buffers of every core, the instruction in hand; and the error it stops with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import numpy as np

from triovit.golden.errors import Status, TriovitError
from triovit.hdl.bus.axi4 import PAGE_BYTES
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.isa.names import ErrorCode, Unit
from triovit.machine.partitions import Partitions

Observer = Callable[[Unit, str, np.ndarray, bool], None]  # unit, space, words, is a write


class ProgramError(TriovitError, RuntimeError):
    """A program that the machine would stop at, or that waits for a semaphore nobody has given.

    code: hdl.isa.names.ErrorCode (WATCHDOG for a wait that never ends). index: number of the instruction.
    """

    status = Status.FAILED

    def __init__(self, code: ErrorCode, index: int, text: str):
        super().__init__(f"instruction {index}: {code.name}: {text}")
        self.code, self.index = code, index


@dataclass
class Core:
    """Buffers of one core as (words, block) int8 arrays; divisor codes as uint8. B, C and P are shared by all cores."""

    buffers: dict[str, np.ndarray]
    divisor: np.ndarray


class State:
    """Memory and buffers of a machine of one configuration.

    Parameters
    ----------
    config : AcceleratorConfig, valid
    memory : (n,) uint8 array, changed in place: the ports' partitions, MEMORY_SIZE bytes each
    core_stride : bytes from a core's feature maps to the next core's
    seed : of the noise that fills all buffers, so that nothing works by accident
    core_mask : cores that take part, a bit each; core 0 always does

    Members: words: the memory as (n // block, block) int8. partitions: where in them things are. index: the instruction
    in hand, for errors. observer: is told of every access of the first core.

    Raises ValueError for a memory that is not a partition of whole pages for each of several ports.
    """

    def __init__(
        self, config: AcceleratorConfig, memory: np.ndarray, core_stride: int, seed: int = 1, core_mask: int = -1
    ):
        self.config, self.memory, self.core_stride = config, memory, core_stride
        self.words = memory[: memory.size // config.block * config.block].view(np.int8).reshape(-1, config.block)
        self.partitions = Partitions(config, self.words.shape[0] // config.ports, config.block)
        if memory.size % (PAGE_BYTES * config.ports) and config.ports > 1:
            raise ValueError(
                f"memory must be {config.ports} partitions of whole pages of {PAGE_BYTES} bytes, not {memory.size} "
                "bytes"
            )
        rng = np.random.default_rng(seed)

        def noise(*buffers: str) -> dict[str, np.ndarray]:
            shapes = {name: (config.words[name], config.block) for name in buffers}
            return {name: rng.integers(-128, 128, shape, dtype=np.int8) for name, shape in shapes.items()}

        shared = noise("B", "C", "P")
        self.cores = [
            Core({**noise("A", "O", "K"), **shared}, rng.integers(0, 16, config.words["divisor"], dtype=np.uint8))
            for _ in range(config.cores)
        ]
        self.active = [number for number in range(config.cores) if (core_mask | 1) >> number & 1]
        self.index = 0
        self.observer: Observer | None = None

    def fail(self, code: ErrorCode, text: str) -> NoReturn:
        """Stop at the instruction in hand."""
        raise ProgramError(code, self.index, text)

    def touch(self, unit: Unit, space: str, words: np.ndarray, write: bool) -> None:
        """Check and tell words that a unit reads or writes, for the first core; those of memory in its partition."""
        size = self.partitions.size if space == "memory" else self.config.words[space]
        if words.size and (int(words.min()) < 0 or int(words.max()) >= size):
            self.fail(ErrorCode.LOCAL_ADDRESS, f"word {int(words.max())} of {space}, which has {size}")
        if self.observer:
            self.observer(unit, space, words, write)
