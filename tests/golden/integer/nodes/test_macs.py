"""Multiply-accumulates by hand, and what layers are called in tables and reports."""

import numpy as np

from tests.networks import small_network, unusual_network
from triovit.golden.integer.network import INPUT, IntegerNetwork
from triovit.golden.integer.nodes import Attention, Convolution, LayerNorm, Pool
from triovit.golden.integer.records import PostParameters


def conv(name, source, shape, groups=1, **values):
    post = PostParameters.create(shape[0], m1=1)
    return Convolution(name, source, np.ones(shape, dtype=np.int8), post, groups=groups, **values)


def build(**values):
    """values: of the pointwise layer and of the attention."""
    heads = (PostParameters.create(2, m1=1),) * 2
    return IntegerNetwork(
        "net",
        (3, 6, 7),
        (
            conv("dense", INPUT, (4, 3, 2, 2)),
            conv("depthwise", "dense", (4, 1, 1, 1), 4, weight_bits=4),
            conv("point", "depthwise", (12, 4, 1, 1), **values.get("point", {})),
            Attention("att", ("point", "point"), 2, 2, heads, heads, heads, (0, 0), **values.get("att", {})),
            conv("group", "att", (4, 4, 1, 1), 2),
            Pool("pool", "group", PostParameters.create(4, m1=1)),
            LayerNorm("norm", "pool", np.ones(4, dtype=np.int8), 0, PostParameters.create(4, m1=1)),
        ),
    ).validate()


TOKENS = 5 * 6
DENSE, DEPTHWISE, POINT, GROUP = 4 * 12 * TOKENS, 4 * TOKENS, 48 * TOKENS, 16 * TOKENS
HEAD = 2 * (2 * 2 * TOKENS + 2 * TOKENS)  # K^T V and sum of K, Q (K^T V) and divisor
ATTENTION = 4 * HEAD  # two branches of two heads


def test_macs():
    network = build()
    assert network.macs() == {
        "dense": DENSE, "depthwise": DEPTHWISE, "point": POINT, "att": ATTENTION, "group": GROUP, "pool": 0, "norm": 0
    }  # fmt: skip


def test_labels():
    network = build()
    assert [node.label for node in network.nodes] == [
        "conv 2x2", "depthwise 1x1", "pointwise", "attention", "group", "pool", "layer norm"
    ]  # fmt: skip


def test_kinds():
    small = {node.name: node.kind for node in small_network(1).nodes}
    expected = {
        "stem": "convolution",
        "ds.depthwise": "depthwise",
        "ds.point": "pointwise",
        "att.group": "grouped",
        "att.attention": "attention",
        "head.pool": "pool",
        "head.norm": "layer norm",
        "head.logits": "pointwise",
    }
    assert expected.items() <= small.items()
    assert unusual_network(1).node("narrow_groups").kind == "grouped"
