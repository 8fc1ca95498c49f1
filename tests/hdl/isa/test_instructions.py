"""Encoding of instructions."""

import random

import pytest

from triovit.hdl.isa.instructions import (
    CHECK_BYTE,
    FIELD_BITS,
    INSTRUCTION_BYTES,
    LAYOUTS,
    NONZERO,
    Instruction,
    InstructionError,
    checked,
    field_offsets,
    layout,
    remainder,
)
from triovit.hdl.isa.names import Opcode


def random_fields(opcode: Opcode, rng: random.Random) -> dict[str, int]:
    fields = {}
    for field in layout(opcode)[1:]:
        fields[field.name] = rng.randint(1 if field.name in NONZERO else field.lowest, field.highest)
    return {name: value for name, value in fields.items() if value}


@pytest.mark.parametrize("opcode", LAYOUTS, ids=lambda opcode: opcode.name)
def test_round_trip(opcode):
    rng = random.Random(int(opcode))
    for _ in range(50):
        instruction = Instruction(opcode, random_fields(opcode, rng))
        data = instruction.encode()
        assert len(data) == INSTRUCTION_BYTES and data[0] == opcode
        assert Instruction.decode(data) == instruction


@pytest.mark.parametrize("opcode", LAYOUTS, ids=lambda opcode: opcode.name)
def test_fields_do_not_overlap(opcode):
    used = 0
    for offset, width in field_offsets(opcode).values():
        mask = ((1 << width) - 1) << offset
        assert not used & mask
        used |= mask
    assert used < 1 << (8 * CHECK_BYTE)


def test_field_position_is_what_the_layout_says():
    data = Instruction(Opcode.STORE, {"words": 0x1234, "rows": 1, "planes": 1, "wait": 1}).encode()
    assert int.from_bytes(data, "little") >> 24 & 0xFFFFFFFF == 1  # wait stands behind opcode and tag
    assert int.from_bytes(data, "little") >> 88 & 0xFFFF == 0x1234


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rows": 1, "planes": 1}, r"STORE\.words must be at least 1, not 0"),
        ({"words": 65536, "rows": 1, "planes": 1}, r"STORE\.words must lie in \[0, 65535\], not 65536"),
        ({"words": 1, "rows": 1, "planes": 1, "buffer": 1}, "STORE has no field buffer"),
        ({"words": 1, "rows": 1, "planes": -1}, r"STORE\.planes must lie in"),
    ],
)
def test_illegal_fields(fields, message):
    with pytest.raises(InstructionError, match=message):
        Instruction(Opcode.STORE, fields).encode()


def test_illegal_encodings():
    with pytest.raises(InstructionError, match="unknown opcode 0x00"):
        Instruction.decode(bytes(INSTRUCTION_BYTES))
    with pytest.raises(InstructionError, match="64 bytes, not 3"):
        Instruction.decode(b"abc")
    with pytest.raises(AttributeError, match="END has no field words"):
        _ = Instruction(Opcode.END, {}).words


def test_replace():
    store = Instruction(Opcode.STORE, {"words": 2, "rows": 1, "planes": 1, "wait": 1})
    later = store.replace(words=3, wait=0, signal=4)
    assert later == Instruction(Opcode.STORE, {"words": 3, "rows": 1, "planes": 1, "signal": 4})
    assert store.words == 2 and Instruction.decode(later.encode()) == later
    with pytest.raises(InstructionError, match="STORE has no field buffer"):
        store.replace(buffer=1)


def test_a_name_has_one_width():
    for opcode in LAYOUTS:
        assert all(FIELD_BITS[field.name] == field.bits for field in layout(opcode))


@pytest.mark.parametrize("opcode", LAYOUTS, ids=lambda opcode: opcode.name)
def test_check_byte(opcode):
    """The bytes add up to zero, whatever the fields; no flip of one bit, nor of up to 8 in a row, leaves it so."""
    rng = random.Random(int(opcode))
    for _ in range(20):
        code = Instruction(opcode, random_fields(opcode, rng)).encode()
        assert remainder(code) == 0 and checked(code) == code
        word = int.from_bytes(code, "little")
        for length in range(1, 9):
            low = rng.randrange(8 * INSTRUCTION_BYTES - length + 1)
            burst = (1 | rng.getrandbits(length) | 1 << length - 1) << low
            assert remainder((word ^ burst).to_bytes(INSTRUCTION_BYTES, "little")) != 0
        damaged = bytes(byte ^ (k == 5) for k, byte in enumerate(code))
        assert checked(damaged) != damaged and Instruction.decode(checked(damaged)) == Instruction.decode(damaged)
