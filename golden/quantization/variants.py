"""Named settings of the ablation tables: the papers' baselines, each technique alone, all together, and without one."""

from __future__ import annotations

from dataclasses import replace

from triovit.golden.quantization.effects import change
from triovit.golden.quantization.methods import METHODS
from triovit.golden.quantization.settings import QuantizationError, Settings
from triovit.golden.validation import kinds, noun

_BARE = METHODS["minmax"]
_TRIO, _M2, _P2, _BOTH = (METHODS[name] for name in ("trio", "m2", "p2", "m2+p2"))

VARIANTS: dict[str, Settings] = {
    **{name: METHODS[name] for name in ("minmax", "ema", "percentile", "omse")},
    "affine": replace(_BARE, symmetric=False),
    # Trio-ViT, each technique alone on the symmetric baseline, then on the affine one
    "migration alone": replace(_BARE, migration=True),
    "shifting alone": replace(_BARE, shifting="all"),
    "migration and shifting": replace(_BARE, migration=True, shifting="all"),
    "affine, migration": replace(_BARE, symmetric=False, migration=True),
    "affine, shifting": replace(_BARE, symmetric=False, shifting="all"),
    "head scales alone": replace(_BARE, head_scales=True),
    "bias correction alone": replace(_BARE, bias_correction=True),
    "divisor offset and gain alone": replace(_BARE, divisor_search=True, divisor_gain=True),
    "trio": _TRIO,
    "trio, symmetric": replace(_TRIO, symmetric=True),
    "trio without migration": replace(_TRIO, migration=False),
    "trio without shifting": replace(_TRIO, shifting="none"),
    "trio, shifting of projections": replace(_TRIO, shifting="projection"),
    "trio without head scales": replace(_TRIO, head_scales=False),
    "trio without bias correction": replace(_TRIO, bias_correction=False),
    "trio without divisor gain": replace(_TRIO, divisor_gain=False),
    "trio, uniform divisor": replace(_TRIO, divisor="uniform", divisor_search=False, divisor_gain=False),
    "trio, reconstruction": replace(_TRIO, reconstruction="fast"),
    # M2-ViT
    "m2": _M2,
    "m2, 4-bit depthwise alone": replace(_TRIO, depthwise_bits=4),
    "m2, APoT weights alone": replace(_TRIO, apot_share=0.5),
    "m2, APoT attention alone": replace(_TRIO, attention_apot=True),
    "m2, all filters APoT": replace(_M2, apot_share=1.0),
    "m2, 5-bit codes": replace(_M2, apot_exponent_bits=2),
    "m2, reconstruction": replace(_M2, reconstruction="fast"),
    # P2-ViT
    "p2": _P2,
    "p2 without smoothing": replace(_P2, smoothing=False),
    **{f"p2, {rule} exponents": replace(_P2, exponents=rule) for rule in ("nearest", "ceil", "floor")},
    "p2 without bias correction": replace(_P2, bias_correction=False),
    "p2, reconstruction": replace(_P2, reconstruction="fast"),
    "m2+p2": _BOTH,
    "m2+p2, reconstruction": replace(_BOTH, reconstruction="fast"),
}


def find_variant(name: str) -> Settings:
    """Settings of a variant or a method, or of one with settings of your own: "trio, observer=lp, norm=2".

    Raises QuantizationError naming what is no variant, no setting, no value of it, or has no effect beside the others.
    """
    if name in VARIANTS:
        return VARIANTS[name]
    parts = [part.strip() for part in name.split(",")]
    first = next((number for number, part in enumerate(parts) if "=" in part), len(parts))
    base = ", ".join(parts[:first])
    if base not in VARIANTS:
        raise QuantizationError(f"variant must be one of {'; '.join(VARIANTS)}, not {base!r}")
    return change(VARIANTS[base], dict(_setting(part, name) for part in parts[first:]))


def _setting(text: str, name: str) -> tuple[str, bool | int | float | str]:
    """Field and value of "field=value"."""
    field, _, value = (part.strip() for part in text.partition("="))
    known = kinds(Settings)
    if field not in known:
        raise QuantizationError(f"variant {name!r}: setting must be one of {', '.join(known)}, not {field!r}")
    kind = known[field]
    try:
        return field, {"true": True, "false": False}[value.lower()] if kind is bool else kind(value)
    except (KeyError, ValueError):
        raise QuantizationError(f"variant {name!r}: {field} must be {noun(kind)}, not {value!r}") from None
