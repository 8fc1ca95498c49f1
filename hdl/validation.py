"""Checks of constructor parameters."""

from __future__ import annotations


def check_integer(name: str, value: int, low: int, high: int) -> int:
    """Return `value` after checking that it is an integer in [low, high].

    Raises TypeError or ValueError naming the parameter, the rule and the value. A bool is no integer here.
    """
    if type(value) is not int:
        raise TypeError(f"{name} must be an integer, not {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be {low}..{high}, not {value}")
    return value


def check_even(name: str, value: int, low: int, high: int) -> int:
    """Return `value` after checking that it is an even integer in [low, high]; raises as `check_integer` does."""
    if check_integer(name, value, low, high) % 2:
        raise ValueError(f"{name} must be even, not {value}")
    return value
