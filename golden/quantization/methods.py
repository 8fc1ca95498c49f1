"""Named sets of settings: the papers' methods and the baselines of their tables.

The baselines are vanilla W8A8: symmetric, a scale per tensor for activations and a scale per filter for weights, one
scale for q, k and v. All share what the hardware fixes: 16-bit hardswish operands and 4-bit log2 divisors.
"""

from __future__ import annotations

from dataclasses import replace

from triovit.golden.quantization.settings import QuantizationError, Settings

_VANILLA = Settings(symmetric=True, migration=False, shifting="none", head_scales=False, equalization=False)
_TRIO = Settings(widening=True, divisor_search=True, divisor_gain=True, bias_correction=True)
_M2 = replace(_TRIO, depthwise_bits=4, apot_share=0.5, attention_apot=True)
_P2 = replace(_TRIO, scales="power-of-two", divisor_gain=False, smoothing=True)
METHODS: dict[str, Settings] = {
    "minmax": _VANILLA,
    "ema": replace(_VANILLA, observer="ema"),
    "percentile": replace(_VANILLA, observer="percentile"),
    "omse": replace(_VANILLA, observer="lp", weight_observer="lp"),
    "trio": _TRIO,
    "m2": _M2,
    "p2": _P2,
    "m2+p2": replace(_M2, scales="power-of-two", divisor_gain=False, smoothing=True),
}


def find_method(name: str) -> Settings:
    """Settings of a method; raises QuantizationError listing the names."""
    if name not in METHODS:
        raise QuantizationError(f"method must be one of {', '.join(METHODS)}, not {name!r}")
    return METHODS[name]
