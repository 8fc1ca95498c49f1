"""The largest buffers that a configuration may have are addressable to their last word."""

import numpy as np
import pytest

from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.isa.instructions import PROGRAM_MAGIC, Instruction, InstructionError
from triovit.hdl.isa.limits import REACHES, Reach, reach
from triovit.hdl.isa.names import Buffer, Destination, Opcode, PostMode
from triovit.hdl.isa.record import RECORD_BYTES
from triovit.machine.functional import FunctionalSimulator

BLOCK = 4
LARGEST = AcceleratorConfig(
    block=BLOCK,
    feature_bytes=BLOCK * reach("A").words,
    output_bytes=BLOCK * reach("O").words,
    weight_bytes=BLOCK * reach("B").words,
    parameter_bytes=BLOCK * reach("P").words,
    attention_bytes=BLOCK * reach("K").words,
    divisors=reach("divisor").words,
    accumulator_bits=32,
).validate()
WORDS = LARGEST.words
ONE = dict.fromkeys(("groups", "rows", "cols", "kernel_rows", "kernel_cols", "blocks"), 1)
RECORDS = WORDS["P"] - RECORD_BYTES


def load(buffer: Buffer, local: int, words: int = 1) -> Instruction:
    return Instruction(Opcode.LOAD, {"buffer": buffer, "words": words, "rows": 1, "planes": 1, "local": local})


def compute(opcode: Opcode, **fields: int) -> Instruction:
    last_block = {"parameters": RECORDS // RECORD_BYTES, "destination": Destination.O}
    return Instruction(opcode, ONE | last_block | fields)


FEATURE, RESULT = WORDS["A"] - 1, WORDS["O"] - 1
ENDS = {"in_base": FEATURE, "out_base": RESULT}
TOKENS = {"rows": 2, "cols": WORDS["divisor"] // 2, "stationary": 1}
PROGRAM = (
    load(Buffer.A, FEATURE),
    load(Buffer.O, RESULT),
    load(Buffer.B, WORDS["B"] - BLOCK, BLOCK),
    load(Buffer.C, WORDS["C"] - BLOCK, BLOCK),
    load(Buffer.P, RECORDS, RECORD_BYTES),
    compute(Opcode.RMAC_CONV, in_base=RESULT, source=1, weights=WORDS["B"] - BLOCK, out_base=RESULT),
    compute(Opcode.MAT_CONV, **ENDS, weights=WORDS["C"] - BLOCK),
    compute(Opcode.RMAC_ROW_SUM, in_base=FEATURE, attention=WORDS["K"] - BLOCK, destination=Destination.K),
    compute(Opcode.RMAC_OUTER, **ENDS, in_value=FEATURE, attention=WORDS["K"] - BLOCK, destination=Destination.K),
    compute(Opcode.MAT_CONV, **ENDS, weights=WORDS["K"] - BLOCK, stationary=1),
    compute(Opcode.MAT_CONV, **TOKENS, mode=PostMode.LOG2, destination=Destination.DIVISOR),
    compute(Opcode.MAT_CONV, **TOKENS, mode=PostMode.DIVIDE),
)


def test_last_words():
    head = {"magic": PROGRAM_MAGIC, "hash": LARGEST.hash, "instructions": len(PROGRAM) + 2}
    program = (Instruction(Opcode.PROGRAM, head), *PROGRAM, Instruction(Opcode.END, {}))
    memory = np.frombuffer(bytearray(b"".join(i.encode() for i in program)), dtype=np.uint8)
    machine, highest = FunctionalSimulator(LARGEST, memory, 0), dict.fromkeys((*WORDS, "memory"), 0)

    def note(unit, space, words, write):
        highest[space] = max(highest[space], int(words.max()))

    machine.state.observer = note
    machine.run()
    del highest["memory"]
    assert highest == {buffer: words - 1 for buffer, words in WORDS.items()}


@pytest.mark.parametrize("buffer", REACHES)
def test_the_narrowest_field_goes_no_further(buffer):
    narrow = reach(buffer)
    assert narrow.words == WORDS[buffer] and all(narrow.words <= other.words for other in REACHES[buffer])
    beyond = narrow.words // narrow.step
    opcode = Opcode.LOAD if narrow.field == "local" else Opcode.RMAC_CONV
    usual = load(Buffer.A, 0) if opcode == Opcode.LOAD else compute(opcode)
    usual.replace(**{narrow.field: beyond - 1}).encode()
    with pytest.raises(InstructionError, match=rf"{narrow.field} must lie in \[0, {beyond - 1}\], not {beyond}"):
        usual.replace(**{narrow.field: beyond}).encode()


def test_a_record_block_is_one_step():
    assert reach("P") == Reach("parameters", 16) and reach("P").words == 16 * 4096
