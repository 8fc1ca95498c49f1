"""Additive powers-of-two (APoT) weights, and which filters get them (M2-ViT, quantization section).

The paper gives each filter the scheme with the smaller squared error and keeps a global ratio of 1 : 1, without
saying how; the shares here are kept layer by layer, so that an array of shifters and an array of multipliers, working
side by side on one layer, have the same work: of every layer the filters that lose least.
"""

from __future__ import annotations

import numpy as np

from triovit.golden.integer.apot import ApotFormat
from triovit.golden.quantization.weights.steps import Error, Rounding, StepRule, search, squared_error

SCALES = np.geomspace(0.5, 1.5, 41)  # largest level that a filter's largest weight is put on, of the format's largest


def rounding(apot: ApotFormat) -> Rounding:
    """The nearest level; beyond the largest it is the largest."""
    levels = apot.levels[apot.levels >= 0]
    middles = (levels[:-1] + levels[1:]) / 2

    def nearest(weight, step):
        ratio = weight / step[:, None]
        return np.sign(ratio) * levels[np.searchsorted(middles, np.abs(ratio), side="left")]

    return nearest


def quantize_additive(
    weight: np.ndarray, rule: StepRule, apot: ApotFormat, error: Error = squared_error
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(levels (F, n) int64, steps (F,), squared errors (F,)) of the real weights (F, n).

    Levels are dense below each power of two and sparse above it, so that the best step depends on where in an octave
    the weights lie: 41 steps over more than an octave are tried, or the exponents of the rule for power-of-two ratios.
    """
    largest = np.abs(weight).max(axis=1)
    if rule.power_of_two:
        candidates = rule.candidates(largest / apot.max)
    else:
        candidates = np.maximum(largest / (apot.max * SCALES[:, None]), rule.least)
    values, step, _ = search(weight, candidates, rounding(apot), error)
    return values.astype(np.int64), step, squared_error(values * step[:, None] - weight)


def choose_filters(additive: np.ndarray, uniform: np.ndarray, share: float) -> np.ndarray:
    """(F,) bool, which filters become additive: the `share` of them (rounded half up) with the least ratio of errors.

    additive, uniform: (F,) squared errors of a filter under either scheme. Of equals the first ones are taken.
    """
    tiny = np.finfo(np.float64).tiny
    order = np.argsort(np.log(np.maximum(additive, tiny)) - np.log(np.maximum(uniform, tiny)), kind="stable")
    chosen = np.zeros(len(order), dtype=bool)
    chosen[order[: int(share * len(order) + 0.5)]] = True
    return chosen
