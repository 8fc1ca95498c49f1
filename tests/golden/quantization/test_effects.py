"""Settings without effect are refused where somebody gives them."""

from dataclasses import replace

import pytest

from triovit.golden.quantization.effects import NEEDS, change
from triovit.golden.quantization.methods import METHODS
from triovit.golden.quantization.settings import QuantizationError, Settings
from triovit.golden.quantization.variants import find_variant

CASES = {  # field: a value, what else gives it an effect
    "percentile": (99.5, {"observer": "percentile"}),
    "momentum": (0.5, {"observer": "ema"}),
    "norm": (2.0, {"observer": "lp"}),
    "smoothing_exponent": (0.25, {"smoothing": True}),
    "smoothing": (True, {"shifting": "projection"}),
    "weight_observer": ("lp", {"scales": "dyadic"}),
    "apot_exponent_bits": (2, {"attention_apot": True}),
    "exponents": ("adaptive", {"scales": "power-of-two"}),
}
BASES = {
    "smoothing": replace(METHODS["trio"], shifting="none"),
    "smoothing_exponent": METHODS["trio"],
    "weight_observer": METHODS["p2"],
    "exponents": METHODS["trio"],
}


def test_every_need_is_tried():
    assert CASES.keys() == NEEDS.keys()


@pytest.mark.parametrize("field", CASES)
def test_alone_it_is_refused_and_with_the_other_it_is_taken(field):
    base = BASES.get(field, METHODS["minmax"])
    value, others = CASES[field]
    with pytest.raises(QuantizationError) as caught:
        change(base, {field: value})
    assert str(caught.value) == f"{field} has no effect without {NEEDS[field][0]}: set that too, or leave {field} out"
    others = others | {"divisor_gain": False}  # power-of-two scales have none
    assert change(base, {field: value} | others) == replace(base, **{field: value}, **others)


def test_other_ways_to_have_an_effect():
    assert change(Settings(), {"norm": 2.0, "weight_observer": "lp"}).norm == 2.0
    assert change(Settings(), {"apot_exponent_bits": 2, "apot_share": 0.5}).apot_share == 0.5
    assert change(METHODS["m2"], {"apot_exponent_bits": 2}).apot_exponent_bits == 2
    assert change(METHODS["percentile"], {"percentile": 99.0}).percentile == 99.0
    assert not change(replace(METHODS["trio"], shifting="none"), {"smoothing": False}).smoothing


def test_what_a_method_has_without_effect_does_not_count():
    for settings in METHODS.values():
        assert change(settings, {"seed": 7}) == replace(settings, seed=7)
    assert change(METHODS["percentile"], {"observer": "minmax"}).percentile == 99.99


def test_variants_refuse_them_too():
    with pytest.raises(QuantizationError, match=r"^percentile has no effect without observer percentile: "):
        find_variant("trio, percentile=99")
    assert find_variant("trio, observer=percentile, percentile=99").percentile == 99
