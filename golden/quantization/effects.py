"""Settings that have an effect beside certain others only, and the change of settings that refuses them elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from triovit.golden.quantization.settings import QuantizationError, Settings

# field: what it needs, in words, and whether settings have that
NEEDS: dict[str, tuple[str, Callable[[Settings], bool]]] = {
    "percentile": ("observer percentile", lambda s: s.observer == "percentile"),
    "momentum": ("observer ema", lambda s: s.observer == "ema"),
    "norm": ("observer or weight_observer lp", lambda s: "lp" in (s.observer, s.weight_observer)),
    "smoothing_exponent": ("smoothing", lambda s: s.smoothing),
    "smoothing": ("shifting projection or all", lambda s: not s.smoothing or s.shifting != "none"),
    "weight_observer": ("scales dyadic", lambda s: s.scales == "dyadic"),
    "apot_exponent_bits": ("attention_apot or an apot_share above 0", lambda s: s.attention_apot or s.apot_share > 0),
    "exponents": ("scales power-of-two", lambda s: s.scales == "power-of-two"),
}


def change(base: Settings, given: Mapping[str, Any]) -> Settings:
    """A method's settings with those that somebody gave in their place.

    Raises QuantizationError for illegal ones (see `Settings`), and for one that was given and has no effect beside the
    others; what the method itself has without effect does not count.
    """
    result = replace(base, **given)
    for name, (words, holds) in NEEDS.items():
        if name in given and not holds(result):
            raise QuantizationError(f"{name} has no effect without {words}: set that too, or leave {name} out")
    return result
