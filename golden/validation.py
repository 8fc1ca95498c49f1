"""Values against the annotations of their dataclass and against rules: all faults at once, each with field, rule and
value.

A rule is a pair: words that follow "must be", and a function that is true for a legal value.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import fields
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

Rule = tuple[str, Callable[[Any], bool]]
NOUNS = {bool: "True or False", int: "an integer", float: "a number", str: "a text", NoneType: "None"}


def one_of(*legal: Any) -> Rule:
    """A rule for one of some values of one type."""
    return f"one of {', '.join(map(str, legal))}", lambda value: value in legal


def within(low: float, high: float) -> Rule:
    """A rule for a number between two, which are legal."""
    return f"in {low}..{high}", lambda value: low <= value <= high


def at_least(low: float) -> Rule:
    """A rule for a number that is not below another."""
    return f"at least {low}", lambda value: value >= low


SEED = ("in 0..2**32 - 1", lambda value: 0 <= value < 1 << 32)


@functools.cache
def kinds(dataclass: type) -> Mapping[str, Any]:
    """Name -> type of each field of a dataclass, whether its module writes annotations as texts or not."""
    hints = get_type_hints(dataclass)
    return {field.name: hints[field.name] for field in fields(dataclass)}


def noun(kind: Any) -> str:
    """A type in words: "an integer", "a number or None"."""
    return " or ".join(NOUNS[part] for part in _parts(kind))


def fits(value: Any, kind: Any) -> bool:
    """Whether a value is of a type out of NOUNS, or of a union of them. A bool is no number, an integer is a number."""
    if isinstance(value, bool):
        return bool in _parts(kind)
    return any(isinstance(value, (int, float) if part is float else part) for part in _parts(kind))


def broken(values: Mapping[str, Any], rules: Mapping[str, Rule], show: Callable[[Any], str] = repr) -> list[str]:
    """What the values break, in the order of the rules: "NAME must be RULE, not VALUE". A rule without value holds."""
    return [
        f"{name} must be {words}, not {show(values[name])}"
        for name, (words, holds) in rules.items()
        if name in values and not holds(values[name])
    ]


def faults(instance: Any, rules: Mapping[str, Rule]) -> list[str]:
    """What is wrong with a dataclass' fields: values that do not fit their annotations, then broken rules.

    rules: by field; a field without one has the rule of its annotation alone. Annotations are types out of NOUNS, or
    unions of them; rules see values of the right type only.
    """
    found, fitting = [], {}
    for name, kind in kinds(type(instance)).items():
        value = getattr(instance, name)
        if fits(value, kind):
            fitting[name] = value
        else:
            words = f"{noun(kind)}, {rules[name][0]}" if name in rules else noun(kind)
            found.append(f"{name} must be {words}, not {value!r}")
    return found + broken(fitting, rules)


def _parts(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
