"""What a list of layers may be."""

import dataclasses

import numpy as np
import pytest

from triovit.golden.network.graph import (
    ConvolutionLayer,
    FoldedConvolution,
    GraphError,
    LayerNormLayer,
    LinearAttentionLayer,
    PoolLayer,
    addend,
    blocks,
    check,
    readers,
)


def folded(channels, outputs, groups=1, kernel=1):
    weight = np.ones((outputs, channels // groups, kernel, kernel))
    return FoldedConvolution(weight, np.zeros(outputs), 1, kernel // 2, groups)


def convolution(name, source, channels, outputs, *, groups=1, kernel=1, **fields):
    parameters = folded(channels, outputs, groups, kernel)
    return ConvolutionLayer(name=name, output=name, block="b", input=source, module=name, folded=parameters, **fields)


LAYERS = [
    convolution("a", "input", 3, 12, kernel=3, hardswish="a.act"),
    convolution("qkv", "a", 12, 12),
    LinearAttentionLayer(name="att", output="att", block="b", inputs=("qkv", "qkv"), heads=2, dim=2),
    convolution("proj", "att", 8, 12, residual="a"),
    PoolLayer(name="pool", output="pool", block="c", input="proj", channels=12, pixels=4),
    LayerNormLayer(name="n", output="n", block="c", input="pool", gamma=np.ones(12), beta=np.zeros(12), eps=1e-5),
    convolution("logits", "n", 12, 5, wide=True, fully_connected=True),
]


def changed(name, /, **fields):
    return [dataclasses.replace(layer, **fields) if layer.name == name else layer for layer in LAYERS]


def test_a_legal_list():
    check(LAYERS)
    assert [layer.channels for layer in LAYERS] == [12, 12, 8, 12, 12, 12, 5]
    assert [layer.activation for layer in LAYERS] == ["hardswish", *["linear"] * 5, "wide"]
    assert [layer.name for layer in readers(LAYERS, "a")] == ["qkv"]  # not what adds it
    assert [addend(layer) for layer in LAYERS] == [None, None, None, "a", None, None, None]
    assert [(name, len(members)) for name, members in blocks(LAYERS)] == [("b", 4), ("c", 2), ("b", 1)]


def test_kinds_of_convolutions():
    depthwise, grouped = convolution("d", "x", 8, 8, groups=8, kernel=3), convolution("g", "x", 8, 8, groups=2)
    assert [layer.depthwise for layer in (depthwise, grouped, LAYERS[0])] == [True, False, False]
    assert [layer.pointwise for layer in (depthwise, grouped, LAYERS[0], LAYERS[1])] == [False, False, False, True]
    assert not LAYERS[-1].pointwise  # fully connected
    other = depthwise.with_bias(np.arange(8))
    assert other.folded.bias.tolist() == list(range(8)) and other.folded.weight is depthwise.folded.weight


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ([], "the last layer and no other must be wide, not none"),
        (LAYERS[:-1], "the last layer and no other must be wide, not none"),
        (changed("qkv", wide=True), "the last layer and no other must be wide, not qkv, logits"),
        (changed("qkv", name="a"), "a: the name of a layer must be unique"),
        (changed("qkv", name="input"), "input: the name of a layer must be unique"),
        (changed("qkv", input="proj"), "qkv: must read tensors of layers before it, not 'proj'"),
        (changed("proj", residual="pool"), "proj: must read tensors of layers before it, not 'pool'"),
        (changed("a", input="a"), "a: must read tensors of layers before it, not 'a'"),
        (changed("qkv", input="input"), "qkv: input must have 12 channels, not 3"),
        (changed("proj", residual="att"), "proj: att must have 12 channels, not 8"),
        (changed("att", heads=3), "att: qkv must have 18 channels, not 12"),
        (changed("pool", channels=6), "pool: proj must have 6 channels, not 12"),
        (changed("n", gamma=np.ones(3)), "n: pool must have 3 channels, not 12"),
        (changed("proj", residual="input", folded=folded(8, 3)), "proj: the image may be the input of a convolution"),
        (changed("pool", input="input", channels=3), "pool: the image may be the input of a convolution only"),
        ([*LAYERS[:3], convolution("other", "att", 8, 4), *LAYERS[3:]], "other: must be the input of a layer after it"),
        (changed("proj", hardswish="act"), "proj: hardswish may not go together with a residual sum or wide logits"),
        (changed("logits", hardswish="act"), "logits: hardswish may not go together with a residual sum or wide"),
    ],
)
def test_what_is_no_list_of_layers(layers, words):
    with pytest.raises(GraphError) as caught:
        check(layers)
    assert str(caught.value).startswith(words)
