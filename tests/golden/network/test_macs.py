"""MAC counts against the published totals and the split of B1-R224."""

import math

import pytest
import torch

from golden.network.efficientvit import EfficientViT
from golden.network.macs import KINDS, count_macs, layer_shapes, macs_by_kind, total_macs


def layers_of(preset, n_classes=1000, resolution=224):
    with torch.device("meta"):
        return count_macs(EfficientViT(preset, n_classes, resolution))


@pytest.mark.parametrize(
    ("preset", "resolution", "millions"),
    [
        ("b0", 224, 100.23), ("b0", 256, 130.12), ("b0", 288, 164.00),
        ("b1", 224, 519.215), ("b1", 256, 676.916), ("b1", 288, 855.644),
        ("b2", 224, 1584.94), ("b2", 256, 2067.53), ("b2", 288, 2614.48),
        ("b3", 224, 3953.82), ("b3", 256, 5161.59), ("b3", 288, 6530.39),
    ],
)  # fmt: skip
def test_totals(preset, resolution, millions):
    decimals = 3 if preset == "b1" else 2
    assert round(total_macs(layers_of(preset, resolution=resolution)) / 1e6, decimals) == millions


def test_b1_by_kind():
    layers = layers_of("b1")
    head = next(layer for layer in layers if layer.name == "head.op_list.0")
    assert head.macs == 19_267_584
    assert macs_by_kind(layers) == {
        "generic": 5_419_008,
        "depthwise": 26_342_400,
        "pointwise": 449_576_960 + head.macs,
        "group": 6_021_120,
        "key_value": 4_264_960,
        "query": 4_264_960,
        "linear": 4_057_600,
    }
    assert total_macs(layers) == 519_214_592
    counts = {kind: sum(layer.kind == kind for layer in layers) for kind in KINDS}
    assert list(counts.values()) == [1, 22, 44, 7, 7, 7, 2]


def test_weights_and_shapes():
    layers = layers_of("b1")
    weights = {kind: sum(layer.weights for layer in layers if layer.kind == kind) for kind in KINDS}
    assert list(weights.values()) == [432, 170_832, 4_381_952 + 393_216, 67_584, 0, 0, 4_057_600]
    assert max(math.prod(layer.output_shape) for layer in layers) == 802_816
    first, last = layers[0], layers[-1]
    assert (first.input_shape, first.output_shape) == ((3, 224, 224), (16, 112, 112))
    assert (last.input_shape, last.output_shape) == ((1600,), (1000,))
    assert next(layer for layer in layers if layer.name == "head.op_list.2").input_shape == (1536,)


def test_shapes_equal_those_of_a_real_run():
    model = EfficientViT("b0", 10, 64).eval()
    shapes = layer_shapes(model)
    seen = {}
    for name in shapes:
        model.get_submodule(name).register_forward_hook(
            lambda _module, inputs, output, name=name: seen.update({name: (inputs[0].shape[1:], output.shape[1:])})
        )
    with torch.no_grad():
        model(torch.zeros(1, 3, 64, 64))
    assert list(seen) == list(shapes)
    assert seen == shapes
