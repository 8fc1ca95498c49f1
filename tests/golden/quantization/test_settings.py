"""Settings: legal values, and one line for each wrong one."""

import json

import pytest

from golden.quantization.settings import QuantizationError, Settings


def test_defaults_are_json():
    assert json.loads(json.dumps(Settings().to_dict())) == {
        "method": "minmax",
        "percentile": 99.99,
        "symmetric": False,
        "migration": True,
        "shifting": "all",
        "head_scales": True,
        "batch": 32,
    }


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("method", "entropy", "method must be one of minmax, percentile, not 'entropy'"),
        ("percentile", 50, "percentile must be above 50 and at most 100, not 50"),
        ("percentile", 100.5, "percentile must be above 50 and at most 100, not 100.5"),
        ("percentile", "99", "percentile must be above 50 and at most 100, not '99'"),
        ("percentile", float("nan"), "percentile must be above 50 and at most 100, not nan"),
        ("shifting", True, "shifting must be one of none, projection, all, not True"),
        ("symmetric", 1, "symmetric must be True or False, not 1"),
        ("migration", "no", "migration must be True or False, not 'no'"),
        ("head_scales", None, "head_scales must be True or False, not None"),
        ("batch", 0, "batch must be a positive integer, not 0"),
        ("batch", 1.5, "batch must be a positive integer, not 1.5"),
    ],
)
def test_wrong_values(field, value, message):
    with pytest.raises(QuantizationError) as caught:
        Settings(**{field: value})
    assert str(caught.value) == message
