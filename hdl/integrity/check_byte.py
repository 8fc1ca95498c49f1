"""The check byte of an instruction, in hardware."""

from __future__ import annotations

import functools
import operator

from amaranth.hdl import Value

from triovit.hdl.isa.instructions import INSTRUCTION_BYTES


def damaged(word: Value) -> Value:
    """1 if the bytes of an instruction word do not add up, as `hdl.isa.instructions.remainder` has it."""
    return functools.reduce(operator.xor, (word.word_select(byte, 8) for byte in range(INSTRUCTION_BYTES))).any()
