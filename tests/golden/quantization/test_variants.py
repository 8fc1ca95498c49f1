"""Names of ablations, and variants of one's own."""

from dataclasses import asdict, replace

import pytest

from triovit.golden.quantization.methods import METHODS
from triovit.golden.quantization.settings import QuantizationError, Settings
from triovit.golden.quantization.variants import VARIANTS, find_variant


def test_every_method_is_a_variant_and_no_two_are_the_same():
    assert {name: VARIANTS[name] for name in METHODS} == METHODS
    assert len({str(settings) for settings in VARIANTS.values()}) == len(VARIANTS)
    assert all(find_variant(name) is settings for name, settings in VARIANTS.items())


def test_settings_of_one_s_own():
    assert find_variant("trio, observer=percentile, percentile=99.5") == replace(
        METHODS["trio"], observer="percentile", percentile=99.5
    )
    assert find_variant("m2, 5-bit codes,apot_share = 0.25 , migration=False,seed=7") == replace(
        VARIANTS["m2, 5-bit codes"], apot_share=0.25, migration=False, seed=7
    )
    assert find_variant("p2, smoothing=false, depthwise_bits=4").depthwise_bits == 4
    for name, value in asdict(Settings()).items():  # every setting can be given as text
        others = "observer=percentile, smoothing=true, shifting=all, apot_share=1, scales=power-of-two"
        others = {"momentum": "observer=ema", "norm": "observer=lp", "weight_observer": "seed=1"}.get(name, others)
        assert getattr(find_variant(f"minmax, {others}, {name}={value}"), name) == value


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("best", "variant must be one of minmax; ema; .*, not 'best'"),
        ("", "variant must be one of minmax; ema; .*, not ''"),
        ("trio, best", "variant must be one of minmax; ema; .*, not 'trio, best'"),
        ("percentile=99", "variant must be one of minmax; ema; .*, not ''"),
        ("trio, bits=4", "variant 'trio, bits=4': setting must be one of observer, percentile, .*, not 'bits'"),
        ("trio, batch=4.5", "variant 'trio, batch=4.5': batch must be an integer, not '4.5'"),
        ("trio, norm=x", "variant 'trio, norm=x': norm must be a number, not 'x'"),
        ("trio, migration=1", "variant 'trio, migration=1': migration must be True or False, not '1'"),
        ("trio, observer=lp, norm=-1", "norm must be above 0 and at most 100, not -1.0"),
        ("trio, observer=best", "observer must be one of minmax, ema, percentile, lp, not 'best'"),
        ("trio, seed=1, ema", "variant 'trio, seed=1, ema': setting must be one of .*, not 'ema'"),
    ],
)
def test_what_is_no_variant(name, message):
    with pytest.raises(QuantizationError, match=f"^{message}$"):
        find_variant(name)
