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


class Storage(enum.IntEnum):
    """On-chip memories by their number in register ERROR; those that a LOAD can write have their number as a buffer."""

    A = Buffer.A
    O = Buffer.O  # noqa: E741
    B = Buffer.B
    C = Buffer.C
    P = Buffer.P
    K = 5
    DIVISOR = 6


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
    """Why the machine stopped (register ERROR): code, what happened, and what the driver does about it.

    Whatever the error, the machine goes on after a soft reset only.
    """

    def __new__(cls, value: int, meaning: str, remedy: str):
        member = int.__new__(cls, value)
        member._value_ = value
        return member

    def __init__(self, value: int, meaning: str, remedy: str):
        self.meaning = meaning
        self.remedy = remedy

    NONE = 0, "No error", "Nothing"
    ILLEGAL_OPCODE = 1, "Unknown opcode, or PROGRAM not in first place", "Write the program again: it is damaged"
    ILLEGAL_FIELD = 2, "A field breaks a rule of the instruction set", "Write the program again: it is damaged"
    BAD_MAGIC = 3, "The first instruction is not PROGRAM", "Check PROGRAM_OFFSET and MEMORY_BASE, and what stands there"
    WRONG_HASH = 4, "The program is for another configuration", "Compile for the hash in HASH_LO and HASH_HI"
    TRUNCATED = 5, "The program ended without END", "Set PROGRAM_BYTES to the whole program's size"
    LOCAL_ADDRESS = 6, "An on-chip address beyond its buffer", "Write the program again: it is damaged"
    MEMORY_ADDRESS = (
        7,
        "A memory offset beyond MEMORY_SIZE (of stripes: of all ports), or not a multiple of the word size (of the "
        "program: of 64)",
        "Check MEMORY_SIZE, CORE_STRIDE and PROGRAM_OFFSET",
    )
    READ_SLVERR = 8, "The memory answered a read with SLVERR", "Check the memory: the slave found an error"
    READ_DECERR = 9, "Nothing answers at the address of a read", "Check MEMORY_BASE, MEMORY_SIZE and PORT_STRIDE"
    WRITE_SLVERR = 10, "The memory answered a write with SLVERR", "Check the memory: the slave found an error"
    WRITE_DECERR = 11, "Nothing answers at the address of a write", "Check MEMORY_BASE, MEMORY_SIZE and PORT_STRIDE"
    SEMAPHORE_OVERFLOW = 12, "A semaphore would leave its range", "Compile again: the program breaks the rules of order"
    WATCHDOG = (
        13,
        "No instruction finished for WATCHDOG cycles",
        "Raise WATCHDOG if the memory is slow; else the program waits for what never comes: compile again",
    )
    BUS_PROTOCOL = (
        14,
        "The memory broke a rule of AXI: an answer that nobody asked for, RLAST in a wrong place, a foreign ID, EXOKAY",
        "Reset the machine and all that stands between it and the memory; check the interconnect",
    )
    BUS_TIMEOUT = (
        15,
        "No instruction finished for WATCHDOG cycles while the memory owed an answer to a burst",
        "Raise WATCHDOG if the memory is slow; else STATUS.bursts stays set: reset the memory and the machine",
    )
    MEMORY_UNCORRECTABLE = (
        16,
        "Bits of a word of an on-chip memory have flipped, more than can be corrected (with `integrity` only)",
        "Run again: the program loads all words anew; if it comes back at the same place, the device is damaged",
    )
    QUEUE_PARITY = (
        17,
        "A bit has flipped in a queue of instructions, transfers or results (with `integrity` only)",
        "Run again; if it comes back at the same place, the device is damaged",
    )
    PROGRAM_PARITY = (
        18,
        "The bytes of an instruction do not add up (with `integrity` only)",
        "Write the program again: it is damaged in memory or on the way; older compilers wrote no check byte",
    )


INTEGRITY_ERRORS = (ErrorCode.MEMORY_UNCORRECTABLE, ErrorCode.QUEUE_PARITY, ErrorCode.PROGRAM_PARITY)
"""Errors of machines with `integrity` alone; units report the others."""
