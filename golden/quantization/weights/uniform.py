"""Uniform integer weights: a step per filter."""

from __future__ import annotations

import numpy as np

from triovit.golden.quantization.weights.steps import (
    SHRINKS,
    Error,
    Rounding,
    StepRule,
    power_error,
    search,
    squared_error,
)


def limit(bits: int) -> int:
    """Largest magnitude of a weight: 127 of 8 bits, 7 of 4 bits."""
    return (1 << (bits - 1)) - 1


def rounding(bits: int) -> Rounding:
    """Round half up and clip to [-limit, limit]."""
    largest = limit(bits)
    return lambda weight, step: np.clip(np.floor(weight / step[:, None] + 0.5), -largest, largest)


def quantize_uniform(
    weight: np.ndarray, rule: StepRule, bits: int = 8, *, norm: float | None = None, error: Error | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(integers (F, n) int64, steps (F,), squared errors (F,)) of the real weights (F, n).

    By default the step is the largest weight over the largest integer. With `norm` it is the one of 81, down to a
    fifth of that, with the least L_p error; with `error` the one with the least of that. Power-of-two rules choose
    among their exponents by `error`, or by the squared error of the weights.
    """
    full = np.abs(weight).max(axis=1) / limit(bits)
    searched = norm is not None or error is not None
    candidates = rule.candidates(full, SHRINKS if searched else 0)
    measure = error or (power_error(norm) if norm is not None else squared_error)
    values, step, _ = search(weight, candidates, rounding(bits), measure)
    return values.astype(np.int64), step, squared_error(values * step[:, None] - weight)
