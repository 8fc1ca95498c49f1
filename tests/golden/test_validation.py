"""Values against annotations and rules. This module does not import `annotations`, so its annotations are types;
`Written` has them as texts, as modules with that import have them."""

from dataclasses import dataclass

import numpy as np
import pytest

from triovit.golden.validation import SEED, at_least, broken, faults, fits, kinds, noun, one_of, within

RULES = {"count": within(1, 9), "share": within(0, 1), "name": one_of("a", "b"), "limit": at_least(0)}


@dataclass
class Real:
    count: int = 3
    share: float = 0.5
    on: bool = False
    name: str = "a"
    limit: float | None = None


@dataclass
class Written:
    count: "int" = 3
    share: "float" = 0.5
    on: "bool" = False
    name: "str" = "a"
    limit: "float | None" = None


BOTH = pytest.mark.parametrize("kind", [Real, Written])


@BOTH
def test_kinds_are_types(kind):
    assert kinds(kind) == {"count": int, "share": float, "on": bool, "name": str, "limit": float | None}


@BOTH
@pytest.mark.parametrize(
    ("field", "value", "fault"),
    [
        ("count", 0, "count must be in 1..9, not 0"),
        ("count", 1.0, "count must be an integer, in 1..9, not 1.0"),
        ("count", True, "count must be an integer, in 1..9, not True"),
        ("count", "3", "count must be an integer, in 1..9, not '3'"),
        ("count", None, "count must be an integer, in 1..9, not None"),
        ("share", float("nan"), "share must be in 0..1, not nan"),
        ("share", "x", "share must be a number, in 0..1, not 'x'"),
        ("on", 1, "on must be True or False, not 1"),
        ("on", "yes", "on must be True or False, not 'yes'"),
        ("name", "c", "name must be one of a, b, not 'c'"),
        ("name", 1, "name must be a text, one of a, b, not 1"),
        ("limit", "no", "limit must be a number or None, at least 0, not 'no'"),
    ],
)
def test_faults(kind, field, value, fault):
    rules = RULES | {"limit": ("at least 0", lambda limit: limit is None or limit >= 0)}
    assert faults(kind(), rules) == []
    assert faults(kind(**{field: value}), rules) == [fault]


@BOTH
def test_all_faults_at_once(kind):
    found = faults(kind(share=2, count="x", on=None), {"share": within(0, 1)})
    assert found == [
        "count must be an integer, not 'x'",
        "on must be True or False, not None",
        "share must be in 0..1, not 2",
    ]


def test_what_fits():
    assert fits(1, float) and fits(np.float64(1), float) and fits(None, int | None) and fits(True, bool | int)
    assert not fits(True, float) and not fits(1.0, int) and not fits(1, bool) and not fits(None, int)


def test_words():
    assert noun(int | str | None) == "an integer or a text or None"
    assert broken({"a": [1]}, {"a": ("short", lambda a: not a), "b": SEED}, str) == ["a must be short, not [1]"]


@pytest.mark.parametrize(("value", "legal"), [(0, True), ((1 << 32) - 1, True), (-1, False), (1 << 32, False)])
def test_seeds(value, legal):
    assert SEED[1](value) is legal
