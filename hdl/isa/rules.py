"""What an instruction may not say, once: for the units that refuse it and for the functional simulator.

A rule is a row: the instructions it is about, a field, and a predicate that is 1 where the rule is broken. The
predicate is evaluated on the fields of an `Instruction` (integers) and on a view of an instruction word (Amaranth
values) alike, for a configuration's `block`. So it may use ==, !=, >, &, | and ^, but neither `and`, `or`, `not` nor ~,
and an Amaranth value has to stand on the left of its operator.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from triovit.golden.integer.arithmetic import MAX_FRACTION_BITS
from triovit.hdl.isa.instructions import COMPUTE, LAYOUTS, NONZERO, Instruction, layout
from triovit.hdl.isa.names import Buffer, Destination, ErrorCode, Opcode, PostMode

Broken = Callable[[Any, int], Any]


@dataclass(frozen=True)
class Rule:
    """opcodes: instructions it is about. field: the field it looks at. text: the rule, in words that follow the field's
    name. broken: fields, block -> 1 or True where the rule is broken. error: what the machine stops with."""

    opcodes: tuple[Opcode, ...]
    field: str
    text: str
    broken: Broken
    error: ErrorCode = ErrorCode.ILLEGAL_FIELD


ALIGNED = "must be a multiple of the configuration's block"
CONVOLUTIONS = (Opcode.RMAC_CONV, Opcode.MAT_CONV)
COMPUTATIONS = tuple(opcode for opcode, fields in LAYOUTS.items() if fields is COMPUTE)


def _with_field(name: str) -> tuple[Opcode, ...]:
    return tuple(opcode for opcode in LAYOUTS if any(field.name == name for field in layout(opcode)))


def _but(*opcodes: Opcode) -> tuple[Opcode, ...]:
    return tuple(opcode for opcode in COMPUTATIONS if opcode not in opcodes)


def _is_zero(name: str) -> Broken:
    return lambda f, _: getattr(f, name) == 0


def _is_above(name: str, most: int) -> Broken:
    return lambda f, _: getattr(f, name) > most


def _is_set(name: str) -> Broken:
    return lambda f, _: getattr(f, name) != 0


def _is_unaligned(name: str) -> Broken:
    return lambda f, block: (getattr(f, name) & (block - 1)) != 0


def _says(destination: Destination) -> Broken:
    return lambda f, _: (f.destination & destination.value) != 0


def _and(*all_of: Broken) -> Broken:
    return lambda f, block: functools.reduce(operator.and_, (broken(f, block) for broken in all_of))


RULES = (
    *(Rule(_with_field(name), name, "must be at least 1", _is_zero(name)) for name in NONZERO),
    Rule((Opcode.LOAD,), "buffer", f"must be at most {max(Buffer)}", _is_above("buffer", max(Buffer).value)),
    Rule(COMPUTATIONS, "mode", f"must be at most {max(PostMode)}", _is_above("mode", max(PostMode).value)),
    Rule(
        _but(*CONVOLUTIONS),
        "mode",
        "must not be DIVIDE outside a convolution",
        lambda f, _: f.mode == PostMode.DIVIDE.value,
    ),
    Rule(
        COMPUTATIONS,
        "fraction_bits",
        f"must be at most {MAX_FRACTION_BITS}",
        _is_above("fraction_bits", MAX_FRACTION_BITS),
    ),
    Rule(COMPUTATIONS, "destination", "must not be 0", _is_zero("destination")),
    # K is for matrices of weights, the divisor buffer for codes of a convolution's pixels.
    Rule(
        _but(Opcode.RMAC_OUTER, Opcode.RMAC_ROW_SUM),
        "destination",
        "must not hold K outside RMAC_OUTER and RMAC_ROW_SUM",
        _says(Destination.K),
    ),
    Rule(_but(*CONVOLUTIONS), "destination", "must not hold DIVISOR outside a convolution", _says(Destination.DIVISOR)),
    Rule(
        CONVOLUTIONS,
        "destination",
        "must not hold DIVISOR in a mode other than LOG2",
        _and(_says(Destination.DIVISOR), lambda f, _: f.mode != PostMode.LOG2.value),
    ),
    Rule(_but(*CONVOLUTIONS), "source", "must be 0 outside a convolution", _is_set("source")),
    Rule(_but(Opcode.RMAC_CONV), "joint", "must be 0 outside RMAC_CONV", _is_set("joint")),
    Rule(_but(Opcode.MAT_CONV), "stationary", "must be 0 outside MAT_CONV", _is_set("stationary")),
    # The weights of `block` lanes are a row of B, C or K, which is read as it stands.
    Rule(CONVOLUTIONS, "weights", ALIGNED, _is_unaligned("weights")),
    Rule(
        (Opcode.RMAC_OUTER, Opcode.RMAC_ROW_SUM),
        "attention",
        f"{ALIGNED} where K is a destination",
        _and(_says(Destination.K), _is_unaligned("attention")),
    ),
)


def evaluate(
    fields: Any, active: Mapping[Opcode, Any], block: int, rules: tuple[Rule, ...] = RULES
) -> Iterator[tuple[Rule, Any]]:
    """The rules that are about an opcode of `active`, each with 1 where it is broken.

    fields: an Instruction, or an Amaranth view with the fields of all of `active`. active: for each opcode that the
    instruction can have 1 where it has it, an integer or an Amaranth value of one bit. block: of the configuration.
    """
    for rule in rules:
        about = [active[opcode] for opcode in rule.opcodes if opcode in active]
        if about:
            yield rule, functools.reduce(operator.or_, about) & rule.broken(fields, block)


def broken_rules(instruction: Instruction, block: int) -> list[Rule]:
    """The rules that an instruction breaks in a configuration of this `block`."""
    return [rule for rule, broken in evaluate(instruction, {instruction.opcode: 1}, block) if broken]


def breaks_a_rule(fields: Any, active: Mapping[Opcode, Any], block: int) -> Any:
    """1 where any rule is broken; the arguments are those of `evaluate`."""
    return functools.reduce(operator.or_, (broken for _, broken in evaluate(fields, active, block)), 0)
