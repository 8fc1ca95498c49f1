"""Accumulator bounds: exact for the worst input, refused one step beyond 32 bits."""

from dataclasses import replace

import numpy as np
import pytest

from tests.networks import small_network
from triovit.golden.integer.apot import ApotFormat
from triovit.golden.integer.errors import NetworkError
from triovit.golden.integer.execute import execute
from triovit.golden.integer.network import INPUT, IntegerNetwork
from triovit.golden.integer.nodes import Attention, Convolution, LayerNorm, Pool
from triovit.golden.integer.records import PostParameters

INT32 = 1 << 31
FIT = (INT32 - 1) // (127 * 128)  # input channels of full-scale weights that an int32 accumulator holds


def wide_layer(channels, bias=0, **records):
    """One full-scale filter over many channels."""
    post = PostParameters.create(1, bias=bias, m1=1, n1=24, **records)
    node = Convolution("a", INPUT, np.full((1, channels, 1, 1), 127, dtype=np.int8), post)
    return IntegerNetwork("net", (channels, 1, 1), (node,))


def test_convolution_bound_is_reached_by_the_worst_input():
    rng = np.random.default_rng(0)
    weight = rng.integers(-127, 128, (5, 4, 3, 3)).astype(np.int8)
    node = Convolution("a", INPUT, weight, PostParameters.create(5, bias=rng.integers(-9999, 9999, 5), m1=1))
    (bound,) = IntegerNetwork("net", (4, 3, 3), (node,)).bounds()
    worst = np.abs(node.weight.astype(np.int64)).sum((1, 2, 3)).argmax()
    reached = [
        abs(
            int(
                node.convolve(np.where(np.sign(weight[filter_]) > 0, sign * 127, -sign * 127).astype(np.int8))[
                    filter_, 0, 0
                ]
            )
        )
        for filter_ in range(5)
        for sign in (1, -1)
    ]
    weights = np.abs(weight.astype(np.int64)).sum((1, 2, 3))
    assert bound.bound == int((weights * 128 + np.abs(node.post.bias)).max())
    assert max(reached) == int(weights[worst]) * 127
    assert bound.bits == bound.bound.bit_length() + 1
    assert (bound.node, bound.operation) == ("a", "convolution")


def test_int32_accumulator_at_its_limit_is_exact():
    network = wide_layer(FIT).validate()
    low, high = (execute(network, np.full((FIT, 1, 1), value, dtype=np.int8))["a"].item() for value in (-128, 127))
    assert (low, high) == (-128, 127)
    assert int(network.nodes[0].convolve(np.full((FIT, 1, 1), -128, dtype=np.int8)).item()) == -FIT * 127 * 128


@pytest.mark.parametrize(
    ("channels", "bias"), [(FIT + 1, 0), (FIT, INT32 - FIT * 127 * 128), (FIT, -(INT32 - FIT * 127 * 128))]
)
def test_accumulator_overflow_is_refused_with_layer_and_bound(channels, bias):
    with pytest.raises(
        NetworkError, match=r"a \(convolution\): the accumulator can reach \d{10}, more than 32 bits hold"
    ):
        wide_layer(channels, bias).validate()


def test_the_largest_bias_that_fits_is_accepted():
    wide_layer(FIT, INT32 - 1 - FIT * 127 * 128).validate()


def residual_layer(multiplier, shift):
    post = PostParameters.create(1, m1=1, n1=47, residual_multiplier=multiplier, residual_shift=shift)
    node = Convolution("a", INPUT, np.ones((1, 1, 1, 1), dtype=np.int8), post, residual=INPUT)
    return IntegerNetwork("net", (1, 1, 1), (node,))


def test_residual_term_is_refused_exactly_when_execution_would_raise():
    full = np.full((1, 1, 1), -128, dtype=np.int8)
    execute(residual_layer(1 << 15, 26).validate(), full)  # 128 * 2**15 * 2**26 = 2**48
    for multiplier, shift in (((1 << 15) + 1, 26), (40000, 26), (3, 40)):
        network = residual_layer(multiplier, shift)
        with pytest.raises(
            NetworkError, match=r"a \(convolution\): the residual term can reach \d+, more than 2\*\*48"
        ):
            network.validate()
        with pytest.raises(OverflowError):
            execute(network, full)


def test_product_of_the_widest_accumulator_and_multiplier_fits():
    post = replace(wide_layer(FIT).nodes[0].post, m1=np.array([65535]))
    network = IntegerNetwork("net", (FIT, 1, 1), (replace(wide_layer(FIT).nodes[0], post=post),)).validate()
    assert network.bounds()[0].product_bound == FIT * 127 * 128 * 65535


def test_bounds_of_the_other_operations():
    def post(channels):
        return PostParameters.create(channels, m1=2, bias=-5)

    network = IntegerNetwork(
        "net",
        (12, 6, 5),
        (
            Attention("att", (INPUT,), 2, 2, (post(2),), (post(2),), (post(2),), (0,)),
            Pool("pool", "att", post(4)),
            LayerNorm("norm", "pool", np.array([1, -127, 3, 4], dtype=np.int8), 0, post(4)),
        ),
    )
    found = {bound.operation: (bound.bound, bound.product_bound) for bound in network.bounds()}
    expected = {
        "K^T V 0": 127 * 128 * 30 + 5,
        "sum of K 0": 127 * 30 + 5,
        "divisor 0": 127 * 128 * 2,
        "dividend 0": 127 * 128 * 2 + 5,
        "pool": 128 * 30 + 5,
        "layer norm": 127 * 2**15 + 5,
    }
    assert found == {name: (value, value * (1 if name == "divisor 0" else 2)) for name, value in expected.items()}


@pytest.mark.parametrize(
    ("apot", "largest"),
    [(ApotFormat(), 128), (ApotFormat(1, 0), 2), (ApotFormat(2, 4), 128), (ApotFormat(3, 8), 0), (None, 127)],
    ids=str,
)
def test_keys_in_additive_powers_of_two_reach_their_largest_level(apot, largest):
    post = (PostParameters.create(1, m1=1),)
    node = Attention("att", (INPUT,), 1, 2, post, post, post, (0,), key_apot=apot)
    found = {bound.operation: bound.bound for bound in IntegerNetwork("net", (6, 5, 3), (node,)).bounds()}
    assert found["K^T V 0"] == largest * 128 * 15
    assert found["sum of K 0"] == largest * 15
    assert found["divisor 0"] == found["dividend 0"] == 127 * 128 * 2  # of q, which stays uniform


def test_product_of_the_divisor_with_its_uniform_scale_is_bounded():
    post = (PostParameters.create(1, m1=1),)
    scales = (PostParameters.create(1, m1=3), PostParameters.create(1, m1=65535))
    node = Attention(
        "att", (INPUT, INPUT), 1, 2, post * 2, post * 2, post * 2, (), divisor="uniform", divisor_scale=scales
    )
    bounds = IntegerNetwork("net", (6, 5, 3), (node,)).validate().bounds()
    found = {bound.operation: bound.product_bound for bound in bounds}
    assert (found["divisor 0"], found["divisor 1"]) == (127 * 128 * 2 * 3, 127 * 128 * 2 * 65535)


def test_bound_takes_the_values_of_additive_weights():
    weight = np.array([[-32768 + 16384, 64], [127, -127]], dtype=np.int16).reshape(2, 2, 1, 1)
    filters = np.array([True, False])
    node = Convolution("a", INPUT, weight, PostParameters.create(2), apot=ApotFormat(4, 0), apot_filters=filters)
    network = IntegerNetwork("net", (2, 1, 1), (node,)).validate()
    assert network.bounds()[0].bound == (16384 + 64) * 128
    assert node.convolve(np.array([-128, 127], dtype=np.int8).reshape(2, 1, 1)).reshape(-1).tolist() == [
        16384 * 128 + 64 * 127,
        -127 * 255,
    ]


def test_a_large_pool_is_refused():
    side = 4200
    network = IntegerNetwork("net", (1, side, side), (Pool("pool", INPUT, PostParameters.create(1)),))
    with pytest.raises(NetworkError, match=r"pool \(pool\)"):
        network.validate()


def test_no_accumulator_of_a_run_exceeds_its_bound():
    network = small_network(5)
    bounds = {bound.node: bound.bound for bound in network.bounds()}
    tensors = {INPUT: np.random.default_rng(1).choice([-128, 127], network.input_shape).astype(np.int8)}
    for node in network.nodes:
        if isinstance(node, Convolution) and node.input in tensors:
            acc = node.convolve(tensors[node.input]) + node.post.bias[:, None, None]
            assert int(np.abs(acc).max()) <= bounds[node.name]
            tensors[node.name] = np.random.default_rng(2).choice([-128, 127], acc.shape).astype(np.int8)
