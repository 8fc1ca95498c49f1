"""The rules mean the same for integers and for the hardware."""

import random

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import data
from amaranth.sim import Simulator

from tests.hdl.isa.words import random_instruction, word_of
from triovit.hdl.isa.instructions import LAYOUTS, NONZERO, Instruction, layout
from triovit.hdl.isa.layouts import INSTRUCTION_BITS, LAYOUT_OF
from triovit.hdl.isa.names import ErrorCode, Opcode, Unit
from triovit.hdl.isa.rules import RULES, broken_rules, evaluate

UNITS = {unit: [opcode for opcode in LAYOUTS if Unit(opcode >> 4) == unit] for unit in Unit}
COUNT = 400  # words an opcode
BLOCK = 8


def instructions(unit: Unit) -> list[Instruction]:
    rng = random.Random(int(unit))
    return [random_instruction(opcode, rng, BLOCK) for opcode in UNITS[unit] for _ in range(COUNT)]


def seen_by_hardware(unit: Unit, words: list[int], rules=RULES) -> list[list]:
    """The rules that each word breaks, evaluated on Amaranth values."""
    m = Module()
    word = Signal(INSTRUCTION_BITS)
    widest = max(UNITS[unit], key=lambda opcode: len(layout(opcode)))
    active = {op: word[:8] == op for op in UNITS[unit]}
    rows = list(evaluate(data.View(LAYOUT_OF[widest], word), active, BLOCK, rules))
    broken = [Signal(name=f"broken_{k}") for k in range(len(rows))]
    m.d.comb += [signal.eq(value) for signal, (_, value) in zip(broken, rows, strict=True)]
    found = []

    async def bench(ctx):
        for value in words:
            ctx.set(word, value)
            found.append([rule for signal, (rule, _) in zip(broken, rows, strict=True) if ctx.get(signal)])

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()
    return found


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_both_forms_agree(unit):
    made = instructions(unit)
    for instruction, broken in zip(made, seen_by_hardware(unit, [word_of(i) for i in made]), strict=True):
        assert broken == broken_rules(instruction, BLOCK), instruction


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_row_missing_on_one_side_is_noticed(unit):
    """Some word breaks that row alone, so its verdict changes."""
    made = instructions(unit)
    words = [word_of(instruction) for instruction in made]
    for removed in (rule for rule in RULES if set(rule.opcodes) & set(UNITS[unit])):
        others = tuple(rule for rule in RULES if rule is not removed)
        alone = [word for word, i in zip(words, made, strict=True) if broken_rules(i, BLOCK) == [removed]]
        assert alone, f"no word breaks only {removed.field} {removed.text}"
        assert not any(seen_by_hardware(unit, alone, others))


@pytest.mark.parametrize("opcode", LAYOUTS, ids=lambda opcode: opcode.name)
def test_legal_instructions_are_reached(opcode):
    rng = random.Random(9)
    legal = [not broken_rules(random_instruction(opcode, rng, BLOCK), BLOCK) for _ in range(200)]
    assert sum(legal) > 20


@pytest.mark.parametrize(
    ("opcode", "fields", "broken"),
    [
        (Opcode.LOAD, {"buffer": 5}, ["buffer must be at most 4"]),
        (Opcode.STORE, {"words": 0}, ["words must be at least 1"]),
        (Opcode.RMAC_CONV, {"mode": 5}, ["mode must be at most 4"]),
        (Opcode.RMAC_CONV, {"mode": 2, "source": 1, "joint": 1, "fraction_bits": 13}, []),
        (Opcode.RMAC_OUTER, {"mode": 2}, ["mode must not be DIVIDE outside a convolution"]),
        (Opcode.RMAC_OUTER, {"destination": 5}, []),
        (Opcode.MAT_CONV, {"destination": 5}, ["destination must not hold K outside RMAC_OUTER and RMAC_ROW_SUM"]),
        (Opcode.MAT_CONV, {"destination": 9, "mode": 3}, []),
        (Opcode.MAT_CONV, {"destination": 8}, ["destination must not hold DIVISOR in a mode other than LOG2"]),
        (
            Opcode.RMAC_DEPTHWISE,
            {"destination": 8, "mode": 3},
            ["destination must not hold DIVISOR outside a convolution"],
        ),
        (Opcode.RMAC_LAYER_NORM, {"destination": 0}, ["destination must not be 0"]),
        (Opcode.RMAC_ROW_SUM, {"fraction_bits": 14}, ["fraction_bits must be at most 13"]),
        (Opcode.RMAC_ROW_SUM, {"source": 1}, ["source must be 0 outside a convolution"]),
        (Opcode.MAT_CONV, {"joint": 1}, ["joint must be 0 outside RMAC_CONV"]),
        (Opcode.MAT_CONV, {"stationary": 1}, []),
        (Opcode.RMAC_CONV, {"stationary": 1}, ["stationary must be 0 outside MAT_CONV"]),
        (Opcode.MAT_CONV, {"weights": 12}, ["weights must be a multiple of the configuration's block"]),
        (Opcode.RMAC_CONV, {"weights": 8 * 77}, []),
        (Opcode.RMAC_DEPTHWISE, {"weights": 13}, []),
        (
            Opcode.RMAC_OUTER,
            {"destination": 4, "attention": 4},
            ["attention must be a multiple of the configuration's block where K is a destination"],
        ),
        (Opcode.RMAC_OUTER, {"destination": 1, "attention": 4}, []),
        (Opcode.RMAC_ROW_SUM, {"destination": 4, "attention": 16}, []),
        (Opcode.MAT_JOIN, {}, []),
    ],
)
def test_by_hand(opcode, fields, broken):
    names = {field.name for field in layout(opcode)}
    usual = dict.fromkeys(NONZERO, 1) | {"destination": 1}
    legal = Instruction(opcode, {name: value for name, value in usual.items() if name in names})
    assert not broken_rules(legal, BLOCK)
    found = broken_rules(legal.replace(**fields), BLOCK)
    assert [f"{rule.field} {rule.text}" for rule in found] == broken
    assert all(rule.error == ErrorCode.ILLEGAL_FIELD for rule in found)
