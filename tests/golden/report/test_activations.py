"""What a report knows of tensors, against the integer model, image by image."""

import dataclasses

import numpy as np
import pytest

from tests.networks import small_network
from triovit.golden.integer.execute import execute, pixels_to_input
from triovit.golden.integer.records import PostParameters
from triovit.golden.report.activations import BINS_AN_OCTAVE, observe

IMAGES = 10  # more than a batch


def uniform(network):
    """The same network with uniform divisors, which are clipped now and then."""
    nodes = list(network.nodes)
    place = next(k for k, node in enumerate(nodes) if node.name == "att.attention")
    records = tuple(PostParameters.create(nodes[place].heads, m1=1, n1=n) for n in (7, 5))
    nodes[place] = dataclasses.replace(nodes[place], divisor="uniform", divisor_scale=records, log2_offset=())
    return dataclasses.replace(network, nodes=tuple(nodes)).validate()


def narrow(network):
    """The same network with offsets that push some divisors beyond the codes."""
    nodes = [
        dataclasses.replace(node, log2_offset=(-11, 4)) if node.name == "att.attention" else node
        for node in network.nodes
    ]
    return dataclasses.replace(network, nodes=tuple(nodes)).validate()


@pytest.fixture(scope="module", params=[narrow, uniform])
def case(request):
    network = request.param(small_network(3))
    pixels = np.random.default_rng(1).integers(0, 256, (IMAGES, 28, 28, 3), dtype=np.uint8)
    tensors = [execute(network, pixels_to_input(image), keep=True) for image in pixels]
    seen = []
    found = observe(network, pixels, lambda *step: seen.append(step))
    assert seen == [("integer network", 8, IMAGES), ("integer network", IMAGES, IMAGES)]
    return network, found, {name: np.stack([t[name] for t in tensors]) for name in tensors[0]}


def test_codes(case):
    _, found, tensors = case
    assert found.images == IMAGES
    assert list(found.codes) == [name for name in tensors if ".code" not in name]
    for name, codes in found.codes.items():
        x = tensors[name]
        channels = x.reshape(IMAGES, x.shape[1], -1)
        ends = np.iinfo(x.dtype)
        assert codes.low.tolist() == channels.min(axis=(0, 2)).tolist(), name
        assert codes.high.tolist() == channels.max(axis=(0, 2)).tolist(), name
        assert (codes.lowest, codes.highest) == ((x == ends.min).sum(), (x == ends.max).sum()), name
        assert codes.size == x.size


def test_divisors(case):
    network, found, tensors = case
    node = network.node("att.attention")
    assert [(b.attention, b.branch) for b in found.divisors] == [("att.attention", 0), ("att.attention", 1)]
    for branch, divisors in enumerate(found.divisors):
        q = tensors[node.inputs[branch]].reshape(IMAGES, node.heads, 3, node.dim, -1)[:, :, 0].astype(np.int64)
        sums = tensors[f"att.attention.sum{branch}"].astype(np.int64)
        expected = (np.maximum(q, 0) * sums[..., None]).sum(axis=2).reshape(-1)
        codes = tensors[f"att.attention.code{branch}"].reshape(-1).astype(np.int64)
        positive = expected > 0
        assert divisors.size == len(expected)
        assert divisors.zeros == (expected <= 0).sum()
        assert (divisors.smallest, divisors.largest) == (expected[positive].min(), expected.max())
        octaves = divisors.histogram.reshape(-1, BINS_AN_OCTAVE).sum(axis=1)
        assert [int(((expected >= 2**k) & (expected < 2 ** (k + 1))).sum()) for k in range(31)] == octaves[:31].tolist()
        assert divisors.codes.tolist() == np.bincount(codes, minlength=len(divisors.codes)).tolist()
        if node.divisor == "uniform":
            ratio = 1 / (1 << int(node.divisor_scale[branch].n1[0]))
            used, beyond = np.maximum(codes, 1) / ratio, np.floor(expected * ratio + 0.5) > 255
            assert divisors.offset is None and len(divisors.codes) == 256
        else:
            used = 2.0 ** (codes - node.log2_offset[branch])
            index = np.floor(np.log2(np.maximum(expected, 1)))
            rounded = index + (expected >= 1.5 * 2**index) + node.log2_offset[branch]
            beyond = ((rounded < 0) | (rounded > 15)) & positive
            assert divisors.offset == node.log2_offset[branch] and len(divisors.codes) == 16
        assert divisors.clipped == beyond.sum()
        error = np.sqrt(np.mean((expected[positive] / used[positive] - 1) ** 2))
        assert divisors.error == pytest.approx(error)
    assert any(divisors.clipped for divisors in found.divisors)
