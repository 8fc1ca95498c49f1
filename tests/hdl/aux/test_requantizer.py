"""DyadicRequantizer."""

import numpy as np
import pytest
from amaranth.hdl import signed

from tests.hdl.aux.kernels import grid, join, rows, simulate, spread
from triovit.golden.integer import arithmetic
from triovit.hdl.aux.requantizer import DyadicRequantizer
from triovit.hdl.technology import TECHNOLOGIES

NAMES = (
    "acc", "bias", "multiplier", "shift", "narrow",
    "residual", "residual_multiplier", "residual_shift", "use_residual",
)  # fmt: skip


def vectors(bits, seed):
    """Corners, exact ties and their neighbours, and random items, with a legal residual where it counts."""
    rng = np.random.default_rng(seed)
    low, high = arithmetic.signed_range(bits)
    corners = grid(total=(low, -1, 0, 1, high), multiplier=(0, 1, 65535), shift=(0, 1, 31, 47))
    ends = [limit << 1 | 1 for limit in (*arithmetic.signed_range(16), -2, 0)]
    ties = grid(total=ends, multiplier=(1, 2), shift=range(1, 8), off=(-1, 0, 1))
    ties["total"] = (ties["total"] << (ties["shift"] - 1)) + ties.pop("off")
    drawn = {
        "total": spread(rng, bits, 1500),
        "multiplier": rng.integers(0, 1 << 16, 1500),
        "shift": rng.integers(0, 48, 1500),
    }
    near = drawn | {"total": rng.integers(low, high, 1500, endpoint=True), "shift": rng.integers(16, 30, 1500)}
    v = join(*({name: part[name] for name in drawn} for part in (corners, ties, drawn, near)))
    count = len(v["shift"])
    total = v.pop("total")
    v["bias"] = np.clip(total - spread(rng, bits, count), low, high)
    v["acc"] = np.clip(total - v["bias"], low, high)
    v["bias"] = total - v["acc"]
    v["narrow"] = rng.integers(0, 2, count)
    v["residual"], v["residual_shift"] = spread(rng, 8, count), rng.integers(0, 4, count)
    v["residual_multiplier"] = rng.integers(0, 1 << 24, count) >> rng.integers(0, 24, count)
    term = np.abs(v["residual"] * v["residual_multiplier"]) << (8 * v["residual_shift"])
    v["use_residual"] = rng.integers(0, 2, count) & (np.abs(total * v["multiplier"]) + term < 1 << 47)
    return {name: v[name] for name in NAMES}


def expected(v):
    """What the item stands for: clipped to 16 or 24 bits."""
    used = {name: v[name] for name in ("bias", "residual_multiplier", "residual_shift")}
    used = {name: np.where((name == "bias") | (v["use_residual"] == 1), value, 0) for name, value in used.items()}
    residual = np.where(v["use_residual"], v["residual"], 0)
    wide, narrow = (
        DyadicRequantizer.model(v["acc"], v["multiplier"], v["shift"], bits, residual=residual, **used)
        for bits in (24, 16)
    )
    return np.where(v["narrow"], narrow, wide).tolist()


def meant(output, narrow):
    """The number that the output tells."""
    low, high = arithmetic.signed_range(16 if narrow else 24)
    if not output["beyond"]:
        assert low <= output["value"] <= high
        return output["value"]
    if narrow and not output["negative"]:
        assert output["value"] == high
    return low if output["negative"] else high


@pytest.mark.parametrize(
    ("bits", "technology"), [(24, "generic"), (27, "generic"), (27, "ultrascale"), (32, "ultrascale")]
)
def test_values(bits, technology):
    v = vectors(bits, bits)
    outputs = simulate(DyadicRequantizer(bits), rows(v), TECHNOLOGIES[technology])
    right = expected(v)
    assert [meant(output, narrow) for output, narrow in zip(outputs, v["narrow"], strict=True)] == right
    assert len(set(right)) > 500 and 8388607 in right and 32767 in right and -32768 in right


def test_a_result_at_the_limit_is_not_beyond():
    """The limits themselves fit; one more does not, also when rounding makes it. The lowest
    of 24 bits, when rounding makes it, counts as beyond, which gives the same number."""
    for narrow, bits in ((0, 24), (1, 16)):
        low, high = arithmetic.signed_range(bits)
        totals = (low, low - 1, high, high + 1)
        items = [dict.fromkeys(NAMES, 0) | {"acc": t, "multiplier": 1, "narrow": narrow} for t in totals]
        items.append(items[0] | {"acc": 2 * high + 1, "shift": 1})
        items.append(items[0] | {"acc": 2 * low - 1, "shift": 1})
        found = simulate(DyadicRequantizer(27), items)
        assert [(item["beyond"], item["negative"]) for item in found] == [
            (0, 1), (1, 1), (0, 0), (1, 0), (1, 0), (1 - narrow, 1),
        ]  # fmt: skip


def test_model_counts_the_residual_in_bytes():
    assert DyadicRequantizer.model(10, 3, 1, 24) == 15
    assert DyadicRequantizer.model(10, 3, 1, 24, bias=2, residual=-1, residual_multiplier=5, residual_shift=1) == -622
    with pytest.raises(OverflowError, match="dyadic product"):
        DyadicRequantizer.model(0, 0, 0, 24, residual=-128, residual_multiplier=(1 << 17) - 1, residual_shift=3)


@pytest.mark.parametrize("bits", [23, 33])
def test_bits(bits):
    with pytest.raises(ValueError, match=rf"accumulator_bits must be 24\.\.32, not {bits}"):
        DyadicRequantizer(bits)


def test_ports():
    kernel = DyadicRequantizer()
    assert kernel.i.shape()["acc"].shape == kernel.i.shape()["bias"].shape == signed(32)
    assert DyadicRequantizer(24).i.shape()["acc"].shape == signed(24)
    assert (kernel.i.shape()["shift"].width, kernel.i.shape()["residual_multiplier"].width) == (6, 24)
    assert kernel.o.shape()["value"].shape == signed(24)
    assert kernel.latency == kernel.first.latency + 2 == 5
