"""Execution against plain loops over Python integers, one output value at a time."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from tests.golden.integer.variants import mixed, shifting, uniform_divisors
from tests.networks import efficientvit_like, random_image, small_network, unusual_network
from triovit.golden.integer.apot import ApotFormat
from triovit.golden.integer.errors import NetworkError
from triovit.golden.integer.execute import execute, pixels_to_input
from triovit.golden.integer.network import INPUT, IntegerNetwork
from triovit.golden.integer.nodes import Attention, Convolution, LayerNorm, Pool
from triovit.golden.integer.records import PostParameters


def shift_half_up(value, n):
    return (2 * value // 2**n + 1) // 2 if n else value


def clip(value, bits=8):
    return max(-(2 ** (bits - 1)), min(2 ** (bits - 1) - 1, value))


def finish(acc, post, c, residual=0):
    """Post-processing of one accumulator, in unbounded integers."""
    p = {name: int(getattr(post, name)[c]) for name in PostParameters.ARRAYS}
    acc += p["bias"]
    if post.activation == "hardswish":
        one = 1 << post.fraction_bits
        x = clip(shift_half_up(acc * p["m1"], p["n1"]), 16)
        product = x * max(0, min(6 * one, x + 3 * one))
        return clip(p["zero_point"] + shift_half_up(product * p["m2"], p["n2"]))
    total = acc * p["m1"] + residual * p["residual_multiplier"] * 2 ** p["residual_shift"]
    return clip(p["zero_point"] + shift_half_up(total, p["n1"]), 16 if post.activation == "wide" else 8)


def convolution_value(node, x, c, row, col):
    out, per_group, k, _ = node.weight.shape
    first = c // (out // node.groups) * per_group
    acc = 0
    for i in range(per_group):
        for r in range(k):
            for s in range(k):
                y, z = row * node.stride + r - node.padding, col * node.stride + s - node.padding
                inside = 0 <= y < x.shape[1] and 0 <= z < x.shape[2]
                pixel = int(x[first + i, y, z]) if inside else int(node.pad_value[first + i])
                acc += pixel * int(node.weight[c, i, r, s])
    return acc


def key_value(node, k):
    """relu(k) as the product and the sum see it: the nearest sum of at most two powers, the smaller one of a tie."""
    if node.key_apot is None:
        return k
    powers = [0, *(2**p for p in range(node.key_apot.low, node.key_apot.high + 1))]
    return min((a + b for a in powers for b in powers), key=lambda level: (abs(level - k), level))


def attention_tensors(node, tensors):
    """All four tensors of one attention by the definition, head by head and token by token."""
    result, outputs = {}, []
    for b, name in enumerate(node.inputs):
        x = tensors[name].astype(int)
        tokens = x.shape[1] * x.shape[2]
        x = x.reshape(-1, tokens).tolist()
        kvs, sums, codes = [], [], []
        for h in range(node.heads):
            base, dim = h * 3 * node.dim, node.dim
            q = [[max(v, 0) for v in x[base + i]] for i in range(dim)]
            k = [[key_value(node, max(v, 0)) for v in x[base + dim + i]] for i in range(dim)]
            v = [x[base + 2 * dim + i] for i in range(dim)]
            kv = [
                [finish(sum(v[i][t] * k[j][t] for t in range(tokens)), node.product[b], h) for j in range(dim)]
                for i in range(dim)
            ]
            ksum = [finish(sum(k[j]), node.key_sum[b], h) for j in range(dim)]
            code = []
            for t in range(tokens):
                divisor = sum(q[j][t] * ksum[j] for j in range(dim))
                if node.divisor == "uniform":
                    scale = node.divisor_scale[b]
                    code.append(max(0, min(255, shift_half_up(divisor * int(scale.m1[h]), int(scale.n1[h])))))
                    continue
                lead = divisor.bit_length() - 1
                exponent = lead + (divisor >> (lead - 1) & 1 if lead > 0 else 0)
                code.append(max(0, min(15, exponent + node.log2_offset[b])) if divisor > 0 else 0)
            divide = node.divide[b]
            for i in range(dim):
                for t in range(tokens):
                    acc = sum(q[j][t] * kv[i][j] for j in range(dim)) + int(divide.bias[h])
                    d = clip(shift_half_up(acc * int(divide.m1[h]), int(divide.n1[h])), 24)
                    if node.divisor == "uniform":
                        quotient = math.floor(Fraction(d, code[t] or 1) + Fraction(1, 2))
                    else:
                        quotient = shift_half_up(d, code[t])
                    outputs.append(clip(int(divide.zero_point[h]) + quotient))
            kvs.append(kv)
            sums.append(ksum)
            codes.append(code)
        result |= {f"{node.name}.kv{b}": kvs, f"{node.name}.sum{b}": sums, f"{node.name}.code{b}": codes}
    return result | {node.name: outputs}


def check_node(node, tensors, rng):
    """Compare a node's tensor, at up to 60 random places, with the reference on the same inputs."""
    got = tensors[node.name]
    if isinstance(node, Attention):
        for name, expected in attention_tensors(node, tensors).items():
            assert tensors[name].reshape(-1).tolist() == np.array(expected).reshape(-1).tolist(), name
        return
    x = tensors[node.inputs[0]]
    for flat in rng.choice(got.size, min(60, got.size), replace=False):
        c, row, col = (int(i) for i in np.unravel_index(flat, got.shape))
        residual = 0
        if isinstance(node, Convolution):
            acc = convolution_value(node, x, c, row, col)
            residual = int(tensors[node.residual][c, row, col]) if node.residual else 0
        elif isinstance(node, Pool):
            acc = sum(int(v) for v in x[c].flat)
        else:
            acc = layer_norm_value([int(v) for v in x.flat], c, node)
        assert int(got[c, row, col]) == finish(acc, node.post, c, residual), (node.name, c, row, col)


def layer_norm_value(x, c, node):
    n, total, squares = len(x), sum(x), sum(v * v for v in x)
    variance = n * squares - total * total + node.epsilon
    root = max(r for r in (int(variance**0.5) + d for d in (-1, 0, 1)) if r * r <= variance)
    if root == 0:
        return 0
    lead = root.bit_length() - 1
    z = clip(shift_half_up((n * x[c] - total) * (2 ** (lead + 16) // root), lead + 7), 16)
    return z * int(node.weight[c])


def named(network, name):
    return replace(network, name=name)


@pytest.mark.parametrize(
    "network",
    [
        small_network(1, size=20),
        small_network(2, size=12, width=5, dim=4, kernel=5),
        unusual_network(3),
        named(mixed(small_network(4, size=16), 1), "mixed"),
        named(mixed(unusual_network(5), 2, ApotFormat(2, 5)), "mixed, coarse levels"),
        named(shifting(small_network(6, size=16)), "shifts"),
        named(uniform_divisors(mixed(small_network(7, size=16), 3)), "uniform divisors"),
    ],
    ids=lambda network: network.name,
)
@pytest.mark.parametrize("extreme", [False, True])
def test_networks_agree_with_plain_loops(network, extreme):
    rng = np.random.default_rng(7)
    image = random_image(network, 4)
    if extreme:
        image = np.where(image < 0, -128, 127).astype(np.int8)
    tensors = execute(network, image, keep=True)
    assert list(tensors) == list(network.shapes())
    for node in network.nodes:
        check_node(node, tensors, rng)
        assert tensors[node.name].shape == network.shapes()[node.name]
    assert len(np.unique(tensors[network.output])) > 1


@pytest.mark.parametrize("seed", range(4))
def test_saturating_records_agree_with_plain_loops(seed):
    """Random records without regard to ranges: saturation everywhere, ties, shifts of zero, multipliers of zero."""
    rng = np.random.default_rng(seed)
    activation = ("linear", "hardswish", "wide", "linear")[seed]
    post = PostParameters.create(
        6,
        bias=rng.integers(-2000, 2000, 6),
        m1=rng.choice([0, 1, 2, 65535], 6),
        n1=rng.choice([0, 1, 2, 15, 47], 6),
        zero_point=rng.integers(-128, 128, 6),
        m2=rng.choice([1, 3, 65535], 6),
        n2=rng.choice([0, 1, 20, 40], 6),
        residual_multiplier=rng.choice([0, 1, 65535], 6),
        residual_shift=rng.choice([0, 1, 25], 6),
        activation=activation,
        fraction_bits=int(rng.integers(0, 14)),
    )
    node = Convolution(
        "a",
        INPUT,
        rng.integers(-127, 128, (6, 6, 3, 3)).astype(np.int8),
        post,
        padding=1,
        pad_value=rng.integers(-128, 128, 6),
        residual=INPUT if activation == "linear" else None,
    )
    network = IntegerNetwork("net", (6, 5, 4), (node,)).validate()
    tensors = execute(network, random_image(network, seed), keep=True)
    check_node(node, tensors, rng)
    assert tensors["a"].dtype == (np.int16 if activation == "wide" else np.int8)


def attention_node(**values):
    one = (PostParameters.create(1, m1=1),)
    return Attention(
        "att", (INPUT,), 1, 2, **{"product": one, "key_sum": one, "divide": one, "log2_offset": (0,), **values}
    )


def test_attention_by_hand():
    # two tokens; q = (5, 0), (0, 3); k = (1, 2), (0, 0); v = (4, -4), (7, 8)
    x = np.array([[5, -9], [-1, 3], [1, 2], [-5, 0], [4, -4], [7, 8]], dtype=np.int8).reshape(6, 1, 2)
    result = attention_node().run({INPUT: x})
    assert result["att.kv0"].tolist() == [[[4 - 8, 0], [7 + 16, 0]]]
    assert result["att.sum0"].tolist() == [[3, 0]]
    assert result["att.code0"].tolist() == [[4, 0]]  # divisor 15 = 1111b -> 3 + 1; divisor 0 -> code 0
    # token 0: -20 / 16 rounds to -1, 115 / 16 to 7; token 1: q meets k = 0
    assert result["att"].reshape(2, 2).tolist() == [[-1, 0], [7, 0]]


def test_additive_keys_by_hand():
    # q = (7, 11), (0, 0); v = (1, -1), (2, 0); k = (7, 11), (127, 0) becomes (6, 10), (128, 0)
    x = np.array([[7, 0], [11, 0], [7, 127], [11, 0], [1, 2], [-1, 0]], dtype=np.int8).reshape(6, 1, 2)
    wide = (PostParameters.create(1, m1=1, n1=2),)
    result = attention_node(key_apot=ApotFormat(), product=wide, key_sum=wide).run({INPUT: x})
    assert result["att.kv0"].tolist() == [[[66, 3], [-1, -2]]]  # 262, 10, -6, -10 over 4, half up
    assert result["att.sum0"].tolist() == [[34, 3]]  # 134, 10 over 4
    assert result["att.code0"].tolist() == [[8, 0]]  # q stays as it is: 7 * 34 + 11 * 3 = 271, about 2**8
    plain = attention_node(product=wide, key_sum=wide).run({INPUT: x})
    assert plain["att.kv0"].tolist() == [[[65, 3], [-2, -3]]]  # 261, 11, -7, -11 over 4


def test_uniform_divisor_by_hand():
    # two tokens; q = (5, 0), (0, 3); k = (1, 2), (0, 0); v = (4, -4), (7, 8)
    x = np.array([[5, -9], [-1, 3], [1, 2], [-5, 0], [4, -4], [7, 8]], dtype=np.int8).reshape(6, 1, 2)
    halves = (PostParameters.create(1, m1=1, n1=1),)
    node = attention_node(divisor="uniform", divisor_scale=halves, log2_offset=())
    result = node.run({INPUT: x})
    assert result["att.code0"].tolist() == [[8, 0]] and result["att.code0"].dtype == np.int16  # 7.5 and 0
    # token 0: -20 / 8 = -2.5 rounds to -2, 115 / 8 = 14.4 to 14; token 1: q meets k = 0, and 0 / 1 = 0
    assert result["att"].reshape(2, 2).tolist() == [[-2, 0], [14, 0]]
    full = attention_node(divisor="uniform", divisor_scale=(PostParameters.create(1, m1=65535),), log2_offset=())
    assert full.run({INPUT: x})["att.code0"].tolist() == [[255, 0]]


def test_dividend_saturates_at_24_bits_and_codes_at_both_ends():
    x = np.full((6, 1, 1), 127, dtype=np.int8)
    wide = (PostParameters.create(1, m1=65535),)
    for offset, code in ((-32, 0), (31, 15)):
        result = attention_node(divide=wide, log2_offset=(offset,)).run({INPUT: x})
        assert result["att.code0"].item() == code
        assert result["att"].reshape(-1).tolist() == [127, 127]  # 2**23 >> 15 is 256, beyond int8 still


def test_only_the_output_is_kept_and_it_is_the_same():
    network = small_network(9)
    image = random_image(network, 1)
    names = []
    short = execute(network, image, progress=names.append)
    assert list(short) == [network.output]
    assert np.array_equal(short[network.output], execute(network, image, keep=True)[network.output])
    assert names == [node.name for node in network.nodes]
    assert short[network.output].dtype == np.int16


def test_constant_input_of_layer_norm_gives_the_bias():
    node = LayerNorm("n", INPUT, np.full(4, 100, dtype=np.int8), 0, PostParameters.create(4, bias=[1, -2, 3, -4], m1=1))
    result = execute(IntegerNetwork("net", (4, 1, 1), (node,)), np.full((4, 1, 1), -77, dtype=np.int8))
    assert result["n"].reshape(-1).tolist() == [1, -2, 3, -4]


def test_efficientvit_shapes_execute():
    network = efficientvit_like("b0", 32, 1, classes=7)
    assert execute(network, random_image(network, 2))[network.output].shape == (7, 1, 1)


def test_pixels_to_input():
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    pixels[0, 0] = 0, 128, 255
    result = pixels_to_input(pixels)
    assert result.dtype == np.int8
    assert result[:, 0, 0].tolist() == [-128, 0, 127]
    assert np.array_equal(result.transpose(1, 2, 0).astype(int) + 128, pixels)


@pytest.mark.parametrize(
    "pixels", [np.zeros((2, 2, 3)), np.zeros((2, 2), dtype=np.uint8), np.zeros((3, 2, 2), dtype=np.uint8)]
)
def test_wrong_pixels(pixels):
    with pytest.raises(NetworkError, match=r"pixels must be \(H, W, 3\) uint8"):
        pixels_to_input(pixels)


@pytest.mark.parametrize("image", [np.zeros((3, 28, 27), dtype=np.int8), np.zeros((3, 28, 28), dtype=np.int16)])
def test_wrong_image(image):
    with pytest.raises(NetworkError, match=r"image must be int8 \(3, 28, 28\), not int"):
        execute(small_network(1), image)
