"""Settings: legal values, and one line for each wrong one."""

import dataclasses
import json

import pytest

from triovit.golden.quantization.settings import QuantizationError, Settings

DEFAULTS = {
    "observer": "minmax",
    "percentile": 99.99,
    "momentum": 0.9,
    "norm": 2.4,
    "symmetric": False,
    "migration": True,
    "shifting": "all",
    "head_scales": True,
    "smoothing": False,
    "smoothing_exponent": 0.5,
    "widening": False,
    "weight_observer": "minmax",
    "depthwise_bits": 8,
    "apot_share": 0.0,
    "apot_exponent_bits": 3,
    "attention_apot": False,
    "bias_correction": False,
    "scales": "dyadic",
    "exponents": "adaptive",
    "divisor": "log2",
    "divisor_search": False,
    "divisor_gain": False,
    "reconstruction": "none",
    "batch": 32,
    "seed": 0,
}


def test_defaults_are_json():
    assert json.loads(json.dumps(Settings().to_dict())) == DEFAULTS


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("observer", "entropy", "observer must be one of minmax, ema, percentile, lp, not 'entropy'"),
        ("weight_observer", "ema", "weight_observer must be one of minmax, lp, not 'ema'"),
        ("scales", "float", "scales must be one of dyadic, power-of-two, not 'float'"),
        ("exponents", "round", "exponents must be one of adaptive, nearest, ceil, floor, not 'round'"),
        ("exponents", "ceil", "exponents 'ceil' need scales 'power-of-two', not 'dyadic'"),
        ("divisor", None, "divisor must be a text, one of log2, uniform, not None"),
        ("reconstruction", "slow", "reconstruction must be one of none, fast, published, not 'slow'"),
        ("depthwise_bits", 4.0, "depthwise_bits must be an integer, one of 4, 8, not 4.0"),
        ("apot_exponent_bits", 3.0, "apot_exponent_bits must be an integer, one of 2, 3, not 3.0"),
        ("depthwise_bits", 5, "depthwise_bits must be one of 4, 8, not 5"),
        ("apot_exponent_bits", 4, "apot_exponent_bits must be one of 2, 3, not 4"),
        ("percentile", 50, "percentile must be above 50 and at most 100, not 50"),
        ("percentile", 100.5, "percentile must be above 50 and at most 100, not 100.5"),
        ("percentile", "99", "percentile must be a number, above 50 and at most 100, not '99'"),
        ("percentile", float("nan"), "percentile must be above 50 and at most 100, not nan"),
        ("momentum", 1, "momentum must be at least 0 and below 1, not 1"),
        ("momentum", -0.1, "momentum must be at least 0 and below 1, not -0.1"),
        ("norm", 0, "norm must be above 0 and at most 100, not 0"),
        ("norm", 101.0, "norm must be above 0 and at most 100, not 101.0"),
        ("smoothing_exponent", -0.5, "smoothing_exponent must be in 0..1, not -0.5"),
        ("smoothing_exponent", 1.1, "smoothing_exponent must be in 0..1, not 1.1"),
        ("apot_share", 1.5, "apot_share must be in 0..1, not 1.5"),
        ("apot_share", -1, "apot_share must be in 0..1, not -1"),
        ("apot_share", True, "apot_share must be a number, in 0..1, not True"),
        ("shifting", True, "shifting must be a text, one of none, projection, all, not True"),
        ("batch", 0, "batch must be at least 1, not 0"),
        ("batch", 1.5, "batch must be an integer, at least 1, not 1.5"),
        ("batch", True, "batch must be an integer, at least 1, not True"),
        ("seed", -1, "seed must be in 0..2**32 - 1, not -1"),
        ("seed", 1 << 32, "seed must be in 0..2**32 - 1, not 4294967296"),
        ("seed", 0.0, "seed must be an integer, in 0..2**32 - 1, not 0.0"),
    ],
)
def test_wrong_values(field, value, message):
    with pytest.raises(QuantizationError) as caught:
        Settings(**{field: value})
    assert str(caught.value) == message


@pytest.mark.parametrize("field", ["equalization", *(n for n, value in DEFAULTS.items() if isinstance(value, bool))])
@pytest.mark.parametrize("value", [1, "no", None])
def test_switches_are_booleans(field, value):
    with pytest.raises(QuantizationError) as caught:
        Settings(**{field: value})
    assert str(caught.value) == f"{field} must be True or False, not {value!r}"


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("percentile", (50.01, 100)),
        ("momentum", (0, 0.999)),
        ("norm", (0.1, 100)),
        ("smoothing_exponent", (0, 1)),
        ("apot_share", (0, 1, 0.25)),
        ("batch", (1,)),
        ("seed", (0, (1 << 32) - 1)),
        ("observer", ("minmax", "ema", "percentile", "lp")),
        ("shifting", ("none", "projection", "all")),
        ("depthwise_bits", (4, 8)),
        ("apot_exponent_bits", (2, 3)),
        ("reconstruction", ("none", "fast", "published")),
    ],
)
def test_ends_of_the_legal_ranges(field, values):
    for value in values:
        assert Settings(**{field: value}).to_dict() == DEFAULTS | {field: value}


def test_what_files_leave_out():
    assert "widening" not in Settings(widening=True).to_dict()
    assert Settings(equalization=False).to_dict() == DEFAULTS | {"equalization": False}


def test_all_faults_are_told_at_once():
    with pytest.raises(QuantizationError) as caught:
        Settings(seed=-1, observer="best", migration=1)
    assert str(caught.value) == (
        "migration must be True or False, not 1; observer must be one of minmax, ema, percentile, lp, not 'best'; "
        "seed must be in 0..2**32 - 1, not -1"
    )


def test_settings_that_exclude_each_other():
    for field in ("divisor_search", "divisor_gain"):
        with pytest.raises(QuantizationError, match=r"^divisor_search and divisor_gain belong to the log2 divisor"):
            Settings(divisor="uniform", **{field: True})
    with pytest.raises(QuantizationError, match=r"^divisor_gain needs scales 'dyadic', not 'power-of-two'"):
        Settings(scales="power-of-two", divisor_gain=True)
    assert Settings(scales="power-of-two", divisor_search=True, divisor="log2").divisor_search
    for rule in ("adaptive", "nearest", "ceil", "floor"):
        assert Settings(scales="power-of-two", exponents=rule).exponents == rule


def test_settings_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().seed = 1
