"""The batch executor against `golden.integer.execute`: every bit of every tensor, also at the limits of floats."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.golden.integer.variants import mixed, shifting, uniform_divisors
from tests.networks import efficientvit_like, small_network, unusual_network
from triovit.golden.assets import INTEGER_NETWORK
from triovit.golden.batch import doubles
from triovit.golden.batch.executor import BatchExecutor
from triovit.golden.integer.apot import ApotFormat
from triovit.golden.integer.arithmetic import log2_round
from triovit.golden.integer.errors import NetworkError
from triovit.golden.integer.execute import execute, pixels_to_input
from triovit.golden.integer.network import INPUT, IntegerNetwork
from triovit.golden.integer.nodes import Attention, Convolution, LayerNorm, Pool
from triovit.golden.integer.records import PostParameters
from triovit.golden.integer.serialize import load_network
from triovit.golden.network.seeded import random_images


def random_pixels(network, count, seed):
    channels, height, width = network.input_shape
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, channels)).astype(np.uint8)


def to_pixels(*images):
    """Pixels of (C, H, W) images of int8 values."""
    return (np.stack(images).astype(np.int64) + 128).astype(np.uint8).transpose(0, 2, 3, 1)


def check(network, pixels):
    """Compare all tensors and the logits with the reference; returns the tensors."""
    executor = BatchExecutor(network)
    tensors, logits = executor.tensors(pixels), executor.logits(pixels)
    assert list(tensors) == list(network.shapes())
    for i, image in enumerate(pixels):
        expected = execute(network, (image.astype(np.int64) - 128).transpose(2, 0, 1).astype(np.int8), keep=True)
        for name, value in expected.items():
            assert tensors[name].dtype == value.dtype, name
            assert np.array_equal(tensors[name][i], value), name
        assert logits[i].tolist() == expected[network.output].reshape(-1).tolist()
    assert logits.dtype == torch.int64
    return tensors


def single(node, input_shape):
    return IntegerNetwork("single", input_shape, (node,)).validate()


NETWORKS = [
    small_network(1, size=20),
    small_network(2, size=12, width=5, dim=4, kernel=5),
    unusual_network(3),
    unusual_network(4, size=16),
    efficientvit_like("b0", 32, 5, classes=7),
    mixed(small_network(6, size=20), 6),
    mixed(unusual_network(7), 7),
    mixed(unusual_network(8), 8, ApotFormat(4, 1)),
    uniform_divisors(small_network(9, size=20)),
    shifting(small_network(10, size=20)),
]


@pytest.mark.parametrize("network", NETWORKS, ids=[f"{i}-{network.name}" for i, network in enumerate(NETWORKS)])
def test_networks_agree(network):
    random = random_pixels(network, 3, 1)
    extreme = np.where(random_pixels(network, 1, 2) < 128, 0, 255).astype(np.uint8)
    tensors = check(network, np.concatenate([random, extreme]))
    assert len(np.unique(tensors[network.output])) > 3


def test_mixed_network_has_weights_beyond_int8():
    assert any(isinstance(n, Convolution) and n.weight.dtype == np.int16 for n in NETWORKS[5].nodes)


def test_larger_network_agrees_in_its_logits():
    network = efficientvit_like("b1", 96, 3, classes=20)
    pixels = random_images(2, 96, 4)
    expected = [execute(network, pixels_to_input(image))[network.output].reshape(-1) for image in pixels.numpy()]
    assert np.array_equal(BatchExecutor(network).logits(pixels).numpy(), expected)


def test_bundled_network_agrees():
    check(load_network(INTEGER_NETWORK), random_images(3, 64, 5).numpy())


# -- records


@pytest.mark.parametrize("seed", range(12))
def test_records_without_regard_to_ranges(seed):
    """Saturation everywhere, ties, shifts of zero and 47, multipliers of zero and the largest."""
    rng = np.random.default_rng(seed)
    activation, channels = ("linear", "hardswish", "wide", "linear")[seed % 4], 24
    post = PostParameters.create(
        channels,
        bias=rng.integers(-1, 2, channels) * (1 << rng.integers(0, 31, channels)),
        m1=rng.choice([0, 1, 2, 999, 65535], channels),
        n1=rng.choice([0, 1, 2, 15, 30, 46, 47], channels),
        zero_point=rng.integers(-128, 128, channels),
        m2=rng.choice([1, 3, 65535], channels),
        n2=rng.choice([0, 1, 20, 40, 47], channels),
        residual_multiplier=rng.choice([0, 1, 999, 65535], channels),
        residual_shift=rng.choice([0, 1, 25], channels),
        activation=activation,
        fraction_bits=int(rng.integers(0, 14)),
    )
    weight = rng.integers(-127, 128, (channels, channels, 3, 3)).astype(np.int8)
    node = Convolution(
        "a",
        INPUT,
        weight,
        post,
        padding=1,
        pad_value=rng.integers(-128, 128, channels),
        residual=INPUT if activation == "linear" else None,
    )
    network = IntegerNetwork("net", (channels, 5, 4), (node,))
    network = replace(network, nodes=(replace(node, post=legal(network)),)).validate()
    check(network, random_pixels(network, 3, seed))


def legal(network):
    """The records with smaller biases and products where `validate` asks for it."""
    node = network.nodes[0]
    limit = (1 << 31) - 1 - 128 * np.abs(node.weight.astype(np.int64)).sum(axis=(1, 2, 3))
    return replace(node.post, bias=np.clip(node.post.bias, -limit, limit))


def test_zero_point_is_not_rounded_with_the_fraction():
    """2**46 - 1 over 2**47 is below one half by the last of 47 bits; the zero point in the same sum would take it."""
    total, rest = divmod((1 << 46) - 1, 65535)
    post = PostParameters.create(1, bias=total - 1, m1=65535, n1=47, zero_point=100, residual_multiplier=rest)
    node = Convolution("a", INPUT, np.ones((1, 1, 1, 1), dtype=np.int8), post, residual=INPUT)
    network = single(node, (1, 1, 2))
    tensors = check(network, to_pixels([[[1, 2]]]))  # the pixels are the convolution's input and the residual
    assert tensors["a"].tolist() == [[[[100, 101]]]]
    assert float(1 << 46) / (1 << 47) + 0.5 + 100 == ((1 << 46) - 1) / (1 << 47) + 0.5 + 100


@pytest.mark.parametrize("fraction_bits", [0, 1, 7, 12, 13])
@pytest.mark.parametrize("largest", [126, 127])
def test_hardswish_over_its_whole_range_and_beyond(fraction_bits, largest):
    """Operands from far below -2**15 to far above it, where the largest one just does not saturate or just does."""
    rng = np.random.default_rng(fraction_bits)
    bias = np.concatenate([np.arange(-33000, 33000, 199), rng.integers(-(1 << 20), 1 << 20, 50), [-(1 << 30), 1 << 30]])
    shift = 20 + fraction_bits
    m2 = ((largest + 20) << shift) // (6 * 32767 << fraction_bits) + 1
    post = PostParameters.create(
        len(bias),
        bias=bias,
        m1=1,
        n1=0,
        m2=m2,
        n2=shift,
        zero_point=-20,
        activation="hardswish",
        fraction_bits=fraction_bits,
    )
    node = Convolution("a", INPUT, np.ones((len(bias), 1, 1, 1), dtype=np.int8), post)
    network = single(node, (1, 16, 16))
    tensors = check(network, to_pixels(np.arange(-128, 128).reshape(1, 16, 16)))
    assert tensors["a"].max() == largest
    assert BatchExecutor(network).steps[0].post.clip == (largest < 127)


def test_more_channels_than_a_block_holds():
    channels = (1 << 15) + 1
    weight = np.random.default_rng(1).integers(-127, 128, (channels, 1, 1, 1)).astype(np.int8)
    post = PostParameters.create(channels, bias=np.arange(channels) % 99, m1=1, n1=7)
    check(single(Convolution("a", INPUT, weight, post), (1, 2, 1)), to_pixels(np.array([[[-128], [99]]])))


# -- sums


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("extra, kind", [(8, torch.float32), (9, torch.float64)])
def test_type_of_psums_at_the_limit_of_float32(kernel, extra, kind):
    """1032 weights of 127 and one of 8 reach 2**24 with inputs of -128, with one of 9 they leave float32."""
    inputs = 1032 // kernel**2 + 1
    weight = np.zeros((2, inputs * kernel**2), dtype=np.int8)
    weight[1, :1032], weight[1, 1032] = 127, extra
    post = PostParameters.create(2, bias=1 << 24, m1=1, activation="wide")
    node = Convolution("a", INPUT, weight.reshape(2, inputs, kernel, kernel), post)
    network = single(node, (inputs, kernel, kernel))
    step = BatchExecutor(network).steps[0]
    assert step.type == kind and step.matrix == (kernel == 1)
    lowest = np.full(network.input_shape, -128)
    odd = lowest.copy()
    odd.flat[1032] += 1
    tensors = check(network, to_pixels(lowest, odd))
    assert tensors["a"][:, 1].flatten().tolist() == [128 * (8 - extra), 128 * (8 - extra) + extra]


@pytest.mark.parametrize("kernel, groups", [(1, 1), (3, 1), (3, 2)])
def test_sums_beyond_float32(kernel, groups):
    """2304 inputs of -128 with weights of 127, and one product of -127: odd, where float32 has steps of 4."""
    inputs = 2304 // kernel**2
    weight = np.full((2 * groups, inputs, kernel, kernel), 127, dtype=np.int8)
    weight[:, 0, 0, 0] = 1
    image = np.full((inputs * groups, kernel, kernel), -128)
    image[::inputs, 0, 0] = -127
    total = 2303 * 127 * 128 + 127
    post = PostParameters.create(2 * groups, bias=total + 5, m1=1, activation="wide")
    network = single(Convolution("a", INPUT, weight, post, groups=groups), image.shape)
    step = BatchExecutor(network).steps[0]
    assert step.type == torch.float64
    assert step({INPUT: torch.zeros(1, kernel, kernel, len(image))})["a"].dtype == torch.float32
    assert (check(network, to_pixels(image))["a"] == 5).all()
    rounded = torch.tensor(image[:inputs], dtype=torch.float32).flatten() @ torch.tensor(weight[0].flatten()).float()
    assert int(rounded) != -total


def test_pool_over_a_large_map():
    image = np.full((3, 400, 400), -128)
    image[1], image[2, 7, 9] = 127, 126
    post = PostParameters.create(3, bias=[128 * 160_000 + 3, -127 * 160_000 - 4, 128 * 160_000], m1=1, n1=0)
    tensors = check(single(Pool("p", INPUT, post), image.shape), to_pixels(image))
    assert tensors["p"].flatten().tolist() == [3, -4, 127]


# -- attention


def attention(heads, dim, **values):
    def records(shift):
        return (PostParameters.create(heads, bias=np.arange(heads) - 1, m1=3, n1=shift, zero_point=np.arange(heads)),)

    return Attention(
        "att",
        (INPUT,),
        heads,
        dim,
        **{"product": records(12), "key_sum": records(5), "divide": records(0), "log2_offset": (-3,), **values},
    )


@pytest.mark.parametrize("offset", [-32, -9, -3, 0, 3, 31])
def test_log2_divisors(offset):
    network = single(attention(2, 3, log2_offset=(offset,)), (18, 5, 7))
    tensors = check(network, random_pixels(network, 4, offset + 40))
    assert len(np.unique(tensors["att.code0"])) > 2 or offset in (-32, -9, 31)


@pytest.mark.parametrize("shift", [0, 4, 9])
def test_uniform_divisors(shift):
    scale = (PostParameters.create(2, m1=[1, 3], n1=shift),)
    node = attention(2, 3, divisor="uniform", divisor_scale=scale, log2_offset=())
    network = single(node, (18, 5, 7))
    tensors = check(network, random_pixels(network, 4, shift))
    assert tensors["att.code0"].dtype == np.int16
    assert tensors["att.code0"].max() > 127 and tensors["att.code0"].min() == 0


def test_keys_in_additive_powers_of_two():
    network = single(attention(2, 3, key_apot=ApotFormat()), (18, 5, 7))
    plain = single(attention(2, 3), (18, 5, 7))
    pixels = random_pixels(network, 3, 1)
    tensors = check(network, pixels)
    assert (tensors["att.kv0"] != check(plain, pixels)["att.kv0"]).any()


def test_negative_divisors_have_code_0():
    negative = (PostParameters.create(1, m1=1, zero_point=-128),)
    network = single(attention(1, 2, product=negative, key_sum=negative, divide=negative), (6, 3, 3))
    tensors = check(network, random_pixels(network, 2, 3))
    assert (tensors["att.sum0"] < 0).any()


def test_dividends_saturate_at_24_bits():
    wide = (PostParameters.create(1, m1=65535),)
    network = single(attention(1, 2, divide=wide, log2_offset=(31,)), (6, 1, 2))
    low, high = np.full((6, 1, 2), 127), np.full((6, 1, 2), 127)
    low[4:] = -128
    tensors = check(network, to_pixels(low, high))
    assert tensors["att"].min() == -128 and tensors["att"].max() == 127


# -- layer normalization


@pytest.mark.parametrize("channels", [1, 2, 3, 64, 1000, 4095])
def test_layer_norm(channels):
    rng = np.random.default_rng(channels)
    weight = rng.integers(-127, 128, channels).astype(np.int8)
    post = PostParameters.create(channels, bias=rng.integers(-99, 99, channels), m1=3, n1=12, zero_point=5)
    images = [rng.integers(-spread, spread + 1, (channels, 1, 1)) for spread in (0, 1, 5, 127)]
    images.append(np.full((channels, 1, 1), -128))
    images.append(np.where(rng.random((channels, 1, 1)) < 0.5, -128, 127))
    images.append(np.where(np.arange(channels) == 0, 127, -128)[:, None, None])
    for epsilon in (0, 1, 12345, (1 << 32) - 1):
        network = single(LayerNorm("n", INPUT, weight, epsilon, post), (channels, 1, 1))
        check(network, to_pixels(*images))


# -- float64 fields


def test_exponents_and_powers():
    values = np.concatenate([np.arange(1, 5000), *((1 << k) + np.arange(-3, 4) for k in range(3, 32))])
    values = np.concatenate([values, 3 << np.arange(30), (3 << np.arange(3, 30)) - 1])
    numbers = torch.tensor(values, dtype=torch.float64)
    assert doubles.exponent(numbers).tolist() == [int(v).bit_length() - 1 for v in values]
    assert doubles.rounded_exponent(numbers).tolist() == log2_round(values).tolist()
    assert doubles.rounded_exponent(torch.tensor([0.0, -0.0, -1.0, -5e8], dtype=torch.float64)).max() < -1000
    exponents = torch.arange(-60, 61)
    assert doubles.power_of_two(exponents).tolist() == [2.0**e for e in range(-60, 61)]


# -- batches, threads, refusals


def test_results_do_not_depend_on_the_batch():
    network = small_network(11, size=20)
    executor, pixels = BatchExecutor(network), random_pixels(network, 7, 1)
    expected = executor.logits(pixels)
    assert len(expected) == 7
    for images in (1, 2, 3, 100):
        executor.images = images
        assert torch.equal(executor.logits(pixels), expected)
        assert np.array_equal(executor.tensors(pixels)[network.output].reshape(7, -1), expected.numpy())
    assert torch.equal(executor.logits(torch.from_numpy(pixels[3:4])), expected[3:4])


def test_one_thread_runs_and_the_setting_is_restored(monkeypatch):
    network = small_network(11, size=20)
    executor, seen = BatchExecutor(network), []
    executor.images = 4
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        monkeypatch.setattr(executor, "_logits", lambda part: seen.append((len(part), torch.get_num_threads())) or part)
        executor.logits(random_pixels(network, 9, 1))
        assert seen == [(4, 1), (4, 1), (1, 1)]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_pixels_are_left_alone():
    network = small_network(11, size=20)
    pixels = random_pixels(network, 2, 1)
    before = pixels.copy()
    pixels.flags.writeable = False
    expected = BatchExecutor(network).logits(pixels)
    assert np.array_equal(pixels, before)
    assert torch.equal(BatchExecutor(network).logits(pixels[:, ::-1]), BatchExecutor(network).logits(before[:, ::-1]))
    assert not torch.equal(BatchExecutor(network).logits(pixels[:, ::-1]), expected)


@pytest.mark.parametrize(
    "shape, kind",
    [
        ((2, 20, 19, 3), np.uint8),
        ((2, 19, 20, 3), np.uint8),
        ((2, 20, 20, 4), np.uint8),
        ((20, 20, 3), np.uint8),
        ((0, 20, 20, 3), np.uint8),
        ((2, 20, 20, 3), np.int8),
        ((2, 20, 20, 3), np.float32),
    ],
)
def test_wrong_pixels(shape, kind):
    executor = BatchExecutor(small_network(11, size=20))
    for run in (executor.logits, executor.tensors):
        with pytest.raises(NetworkError, match=r"pixels must be \(N, 20, 20, 3\) uint8 with N at least 1, not \("):
            run(np.zeros(shape, dtype=kind))


def test_invalid_network():
    node = Convolution(
        "a", INPUT, np.full((1, 1, 1, 1), 127, dtype=np.int8), PostParameters.create(1, bias=(1 << 31) - 1)
    )
    with pytest.raises(NetworkError, match=r"a \(convolution\): the accumulator can reach"):
        BatchExecutor(IntegerNetwork("net", (1, 2, 2), (node,)))


@pytest.mark.parametrize("value", ["bf16", "tf32"])
@pytest.mark.parametrize("part", ["matmul", "conv"])
def test_reduced_precision_of_pytorch_is_refused(part, value):
    network = small_network(11, size=20)
    setting = getattr(torch.backends.mkldnn, part)
    before = setting.fp32_precision
    setting.fp32_precision = value
    try:
        with pytest.raises(NetworkError, match=rf"mkldnn.{part}.fp32_precision must be .*, not {value}"):
            BatchExecutor(network).logits(random_pixels(network, 1, 1))
        setting.fp32_precision = "ieee"
        BatchExecutor(network).logits(random_pixels(network, 1, 1))
    finally:
        setting.fp32_precision = before


def test_reduced_precision_of_onednn_is_refused(monkeypatch):
    network = small_network(11, size=20)
    for name in ("ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE"):
        monkeypatch.setenv(name, "STRICT")
        BatchExecutor(network).logits(random_pixels(network, 1, 1))
        monkeypatch.setenv(name, "BF16")
        with pytest.raises(NetworkError, match=f"variable {name} must be unset, ieee or strict, not bf16"):
            BatchExecutor(network).logits(random_pixels(network, 1, 1))
        monkeypatch.delenv(name)
