"""Which observers the settings ask for."""

from __future__ import annotations

from triovit.golden.quantization.calibration.histogram import PercentileObserver
from triovit.golden.quantization.calibration.lp import LpObserver
from triovit.golden.quantization.calibration.observers import MinMaxObserver, MovingAverageObserver, Range
from triovit.golden.quantization.rules import TensorRule
from triovit.golden.quantization.settings import Settings


def first_observer(name: str, rule: TensorRule, settings: Settings) -> MinMaxObserver:
    """Observer of a tensor in the first pass over the images."""
    if settings.observer == "ema":
        return MovingAverageObserver(name, settings.momentum, rule.group)
    return MinMaxObserver(name, rule.group)


def second_observer(
    name: str, full: Range, rule: TensorRule, settings: Settings
) -> PercentileObserver | LpObserver | None:
    """Observer in the second pass; full: extremes from the first. None where the first pass has the result."""
    match settings.observer:
        case "percentile":
            return PercentileObserver(name, full, settings.percentile, rule.group)
        case "lp":
            return LpObserver(name, full, settings.norm, rule)
    return None
