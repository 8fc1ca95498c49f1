"""Random instructions that keep the rules of the instruction set, or just miss one."""

import random

from triovit.hdl.isa.fields import Field
from triovit.hdl.isa.instructions import Instruction, field_offsets, layout
from triovit.hdl.isa.names import Opcode
from triovit.hdl.isa.rules import RULES, broken_rules


def random_value(field: Field, rng: random.Random) -> int:
    """Ends of the field's range and small values are frequent."""
    values = (0, field.lowest, field.highest, rng.randint(0, min(15, field.highest)))
    return rng.choice((*values, rng.randint(field.lowest, field.highest)))


def random_instruction(opcode: Opcode, rng: random.Random, block: int) -> Instruction:
    """An instruction with at most two fields that have not been made legal."""
    fields = {field.name: field for field in layout(opcode)[1:]}
    instruction = Instruction(opcode, {name: random_value(field, rng) for name, field in fields.items()})
    while broken := broken_rules(instruction, block):
        instruction = instruction.replace(**{r.field: random_value(fields[r.field], rng) for r in broken})
    watched = sorted({rule.field for rule in RULES if opcode in rule.opcodes})
    changed = rng.sample(watched, min(rng.randint(0, 2), len(watched)))
    return instruction.replace(**{name: random_value(fields[name], rng) for name in changed})


def word_of(instruction: Instruction) -> int:
    """The instruction's 512 bits, zero counts included, which `encode` would refuse."""
    word = int(instruction.opcode)
    for name, value in instruction.fields.items():
        offset, width = field_offsets(instruction.opcode)[name]
        word |= (value & ((1 << width) - 1)) << offset
    return word
