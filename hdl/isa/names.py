"""Names of the instruction set and their codes, each written once: units, opcodes, buffers, modes, errors."""

from __future__ import annotations

import enum


class Unit(enum.IntEnum):
    """Owner of an instruction: the high nibble of the opcode."""

    FETCH = 0
    LOAD = 1
    STORE = 2
    RMAC = 3
    MAT = 4


QUEUED_UNITS = tuple(unit for unit in Unit if unit is not Unit.FETCH)
"""Units with a queue, in the order of their numbers: FETCH fills the queues and has none."""


class Opcode(enum.IntEnum):
    """0 is no opcode, so that empty memory is an illegal program."""

    PROGRAM = 0x01
    END = 0x02
    LOAD = 0x10
    STORE = 0x20
    RMAC_CONV = 0x30
    RMAC_DEPTHWISE = 0x31
    RMAC_OUTER = 0x32
    RMAC_ROW_SUM = 0x33
    RMAC_LAYER_NORM = 0x34
    MAT_CONV = 0x40
    MAT_JOIN = 0x41


class Buffer(enum.IntEnum):
    """On-chip memories a LOAD can write."""

    A = 0  # input features, a core each
    O = 1  # results, a core each; a LOAD puts residual operands where the sums will be written  # noqa: E741
    B = 2  # weights of the R-MAC engine, all cores
    C = 3  # weights of the MAT engine, all cores
    P = 4  # post-processing records, all cores


class Destination(enum.IntFlag):
    """Where results go; more than one may be set."""

    O = 1  # noqa: E741
    A = 2
    K = 4  # as MAT weights
    DIVISOR = 8  # 4-bit codes (log2 mode)

    @property
    def position(self) -> int:
        """Bit number of one destination in the mask."""
        if len(self) != 1:
            raise ValueError(f"{self!r} is not one destination")
        return self.value.bit_length() - 1


class PostMode(enum.IntEnum):
    """What post-processing makes of a psum; codes 5..7 are reserved."""

    LINEAR = 0  # requantize, with an optional residual
    HARDSWISH = 1
    DIVIDE = 2  # requantize to a dividend, divide by 2**code
    LOG2 = 3  # lane 0 to a log2 code, the other lanes give 0
    WIDE = 4  # requantize to 16 bits, of which one byte is put out


class ErrorCode(enum.IntEnum):
    """Why the machine stopped (register ERROR)."""

    NONE = 0
    ILLEGAL_OPCODE = 1
    ILLEGAL_FIELD = 2  # a zero count, an unknown buffer, mode or destination
    BAD_MAGIC = 3  # the first instruction is not PROGRAM
    WRONG_HASH = 4  # compiled for another configuration
    TRUNCATED = 5  # the program ended without END
    LOCAL_ADDRESS = 6  # an on-chip address beyond its buffer
    MEMORY_ADDRESS = 7  # a memory offset beyond MEMORY_SIZE, or not a multiple of the word size
    READ_SLVERR = 8
    READ_DECERR = 9
    WRITE_SLVERR = 10
    WRITE_DECERR = 11
    SEMAPHORE_OVERFLOW = 12
    WATCHDOG = 13  # no instruction finished for WATCHDOG cycles
