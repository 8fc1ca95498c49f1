"""PostProcessing: the bench, and its model by hand."""

import numpy as np
import pytest
from amaranth.hdl import Shape, signed
from amaranth.lib import data

from triovit.hdl.aux.post_lane import PostLane
from triovit.hdl.aux.post_processing import PostProcessing
from triovit.hdl.isa.names import PostMode
from triovit.hdl.technology import TECHNOLOGIES
from triovit.sim.bench import run_bench

model = PostProcessing.model


@pytest.mark.parametrize(
    ("lanes", "accumulator_bits", "technology"), [(1, 32, "generic"), (3, 27, "generic"), (2, 24, "ultrascale")]
)
def test_bench(lanes, accumulator_bits, technology):
    """The multipliers of the third are the behaviour in `multiply_add.v`."""
    parameters = {"lanes": lanes, "accumulator_bits": accumulator_bits}
    run_bench(
        PostProcessing(**parameters),
        "tests.hdl.aux.bench_post_processing",
        name=f"post_processing_{lanes}",
        parameters=parameters,
        technology=TECHNOLOGIES[technology],
    )


def test_modes():
    assert {mode.name: mode.value for mode in PostMode} == {
        "LINEAR": 0, "HARDSWISH": 1, "DIVIDE": 2, "LOG2": 3, "WIDE": 4,
    }  # fmt: skip
    assert Shape.cast(PostMode).width == 3


def test_linear_by_hand():
    parameters = {"bias": 1, "m1": 3, "n1": 2, "zero_point": [-5, 0, 5]}
    assert model([9, 9, -3], parameters, PostMode.LINEAR).tolist() == [3, 8, 4]  # 30/4 = 7.5; -6/4 = -1.5 -> -1
    parameters |= {"residual_multiplier": 4, "residual_shift": 0}
    rows = model([[9, 9, -3]] * 2, parameters, PostMode.LINEAR, residual=[[1, -1, 40]] * 2, use_residual=[1, 0])
    assert rows.tolist() == [[4, 7, 44], [3, 8, 4]]  # 34/4 = 8.5 -> 9; 26/4 = 6.5 -> 7; 154/4 = 38.5 -> 39
    parameters = {"m1": 1, "n1": 12, "residual_multiplier": 3, "residual_shift": [1, 2]}  # 256 * 3 and 65536 * 3
    assert model([0, 0], parameters, PostMode.LINEAR, residual=[-50, 2]).tolist() == [-9, 96]  # -38400/4096 = -9.375


def test_hardswish_by_hand():
    # x = 2.0 and -1.0 with 4 fraction bits: 2 * 5 * 256 = 2560; -1 * 2 * 256 = -512; a shift by 5 leaves 80, -16
    parameters = {"m1": 1, "n1": 0, "m2": 1, "n2": 5, "zero_point": 3}
    assert model([32, -16], parameters, PostMode.HARDSWISH, fraction_bits=4).tolist() == [83, -13]


def test_divide_by_hand():
    parameters = {"m1": 1, "n1": 1, "zero_point": 1}
    # 101 / 2 -> 51, 51 / 4 = 12.75 -> 13; code 0 leaves 51
    assert model([[101], [101]], parameters, PostMode.DIVIDE, code=[2, 0]).tolist() == [[14], [52]]


def test_log2_by_hand():
    rows = model([[99, 99], [0, 99], [-5, 0]], {"bias": [0, 7]}, PostMode.LOG2, log2_offset=[2, 5, 5])
    assert rows.tolist() == [[9, 0], [0, 0], [0, 0]]


def test_wide_by_hand():
    parameters = {"m1": 1, "n1": 0, "zero_point": -1}
    # 0x1280 - 1 = 0x127f; -2 - 1 = 0xfffd; 0x81 - 1 = 0x80; saturated 0x7fff
    acc = [0x1280, -2, 0x81, 1 << 20]
    rows = model([acc, acc], parameters, PostMode.WIDE, high_byte=[0, 1])
    assert rows.tolist() == [[0x7F, -3, -128, -1], [0x12, -1, 0, 0x7F]]


def test_model_ignores_the_bits_that_do_not_count():
    parameters = {"m1": 1, "n1": 64 + 1, "residual_multiplier": (1 << 24) + 4, "residual_shift": 128 + 4}
    assert model([8], parameters, PostMode.LINEAR, residual=[1]).tolist() == [6]
    parameters = {"m1": 1, "n1": 128, "m2": 1, "n2": 192 + 2}
    assert model([1], parameters, PostMode.HARDSWISH).tolist() == [1]


@pytest.mark.parametrize(
    ("acc", "parameters", "mode", "control", "error", "message"),
    [
        (1 << 30, {"bias": 1 << 30}, PostMode.LINEAR, {}, OverflowError, r"acc \+ bias"),
        (1 << 26, {}, PostMode.LINEAR, {"accumulator_bits": 27}, OverflowError, r"acc \+ bias"),
        (
            1 << 30,
            {"m1": 65535, "residual_multiplier": (1 << 17) - 1, "residual_shift": 3},
            PostMode.LINEAR,
            {"residual": -128},
            OverflowError,
            "dyadic product",
        ),
        (0, {"n1": 48}, PostMode.LINEAR, {}, OverflowError, "shift n"),
        (0, {"n2": 48}, PostMode.HARDSWISH, {}, OverflowError, "shift n2"),
        (0, {}, PostMode.HARDSWISH, {"fraction_bits": 14}, OverflowError, "fraction bits"),
        (0, {}, PostMode.DIVIDE, {"code": 16}, OverflowError, "divisor code"),
        (0, {}, PostMode.LOG2, {"log2_offset": 32}, OverflowError, "log2 offset"),
        (0, {}, 5, {}, ValueError, "5 is not a valid PostMode"),
    ],
)
def test_model_raises(acc, parameters, mode, control, error, message):
    with pytest.raises(error, match=message):
        model([acc], parameters, mode, **control)


def test_model_defaults_add_nothing():
    parameters = {"m1": 1, "n1": 0, "residual_multiplier": 1}
    assert model([5], parameters, PostMode.LINEAR).tolist() == [5]
    assert model([5], parameters, PostMode.DIVIDE).tolist() == [5]
    assert model([99], parameters, PostMode.LOG2).tolist() == [7]
    assert model([0x1234], parameters, PostMode.WIDE).tolist() == [0x34]


def test_parameters():
    assert PostProcessing(2).o.shape() == data.ArrayLayout(signed(8), 2)
    assert PostProcessing(2).i.shape().size == 2 * (32 + 128 + 8) + 4 + 3 + 4 + 1 + 6 + 1
    assert PostProcessing(2, 27).i.shape().size == 2 * (27 + 128 + 8) + 4 + 3 + 4 + 1 + 6 + 1
    assert PostProcessing(64).latency == PostLane.latency + 2 == 13
    for lanes in (0, 65):
        with pytest.raises(ValueError, match=rf"lanes must be 1\.\.64, not {lanes}"):
            PostProcessing(lanes)
    assert np.ndim(model([1], {"m1": 1}, 0)) == 1
