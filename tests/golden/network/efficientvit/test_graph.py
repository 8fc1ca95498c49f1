"""The list of layers, and the rules of their tensors."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from tests.golden.network.efficientvit.layers import named_layers
from triovit.golden.network.architectures import layers_of
from triovit.golden.network.efficientvit.model import EfficientViT
from triovit.golden.network.graph import ConvolutionLayer, GraphError, LinearAttentionLayer, PoolLayer, addend
from triovit.golden.network.seeded import initialize
from triovit.golden.quantization.rules import TensorRule, tensor_rules
from triovit.golden.quantization.settings import Settings


@pytest.fixture(scope="module")
def model():
    return initialize(EfficientViT("b0", 7, 32), 1)


@pytest.fixture(scope="module")
def layers(model):
    return layers_of(model)


def test_layers_are_those_of_the_float_network(model, layers):
    names = [layer.name for layer in layers]
    expected = []
    for name, _ in named_layers(model):
        expected += {
            "head.op_list.2": ["head.op_list.2.linear", "head.op_list.2.norm"],
            "head.op_list.3": ["head.op_list.3.linear"],
        }.get(name, [name])
    assert names == expected
    assert "backbone.stages.2.op_list.1.context_module.main.qkv" in names


def test_every_input_is_the_tensor_before_it_but_for_branches(layers):
    assert layers[0].inputs == ("input",)
    for before, layer in pairwise(layers):
        if isinstance(layer, LinearAttentionLayer):
            assert [name.rpartition(".main.")[2] for name in layer.inputs] == ["qkv", "aggreg.0.1"]
        else:
            assert layer.inputs == (before.name,)


def test_residuals(layers):
    residuals = {layer.name: (added, layer.output) for layer in layers if (added := addend(layer))}
    stem = "backbone.input_stem.op_list"
    assert residuals[f"{stem}.1.main.point_conv"] == (f"{stem}.0", f"{stem}.1")
    stage = "backbone.stages.2.op_list"
    assert residuals[f"{stage}.1.context_module.main.proj"] == (
        f"{stage}.0.main.point_conv",
        f"{stage}.1.context_module",
    )
    assert residuals[f"{stage}.1.local_module.main.point_conv"] == (
        f"{stage}.1.context_module.main.proj",
        f"{stage}.1.local_module",
    )
    assert f"{stage}.0.main.point_conv" not in residuals  # a block with stride 2
    assert len(residuals) == 1 + 1 + 1 + 4 + 4  # stem, stages 1 and 2 (one each), attention blocks (two each)


def test_activations(layers):
    kinds = {layer.name.rpartition(".")[2]: layer.activation for layer in layers}
    assert kinds["inverted_conv"] == kinds["depth_conv"] == kinds["norm"] == "hardswish"
    assert kinds["point_conv"] == kinds["qkv"] == kinds["proj"] == "linear"
    assert layers[-1].activation == "wide"
    assert [layer.activation for layer in layers].count("wide") == 1


def test_projections_and_fully_connected_layers(layers):
    convolutions = [layer for layer in layers if isinstance(layer, ConvolutionLayer)]
    projections = [layer.name for layer in convolutions if layer.projection]
    assert projections == [layer.name for layer in layers if layer.name.endswith("point_conv")]
    assert [layer.name for layer in convolutions if layer.fully_connected] == [
        "head.op_list.2.linear",
        "head.op_list.3.linear",
    ]


def test_modules_of_convolutions(model, layers):
    """Without normalization and activation: their weights are the layer's, but for a factor a filter."""
    for layer in layers:
        if isinstance(layer, ConvolutionLayer):
            module = model.get_submodule(layer.module)
            assert isinstance(module, nn.Conv2d | nn.Linear)
            assert module.weight.numel() == layer.folded.weight.size


def test_modules_see_the_tensors(model, layers):
    """Every layer's output module gives its tensor, every hardswish module's output is that of hardswish."""
    seen = {}
    for name, module in model.named_modules():
        module.register_forward_hook(lambda _m, x, y, name=name: seen.update({name: (x[0], y)}))
    with torch.no_grad():
        model(torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(1)))
    tensors = {"input": seen["backbone"][0], **{layer.name: seen[layer.output][1] for layer in layers}}
    for layer in layers:
        assert tensors[layer.name].shape[1] == layer.channels
        match layer:
            case LinearAttentionLayer():
                assert torch.equal(seen[layer.output][0], torch.cat([tensors[name] for name in layer.inputs], 1))
            case PoolLayer():
                assert tensors[layer.input][0, 0].numel() == layer.pixels
            case ConvolutionLayer():
                assert torch.equal(seen[layer.module][0].flatten(), tensors[layer.input].flatten())
        if layer.activation == "hardswish":
            assert torch.equal(torch.nn.functional.hardswish(seen[layer.hardswish][0]), tensors[layer.name])


def test_refused_models(model):
    with pytest.raises(GraphError, match="model must be an EfficientViT, not Linear"):
        layers_of(nn.Linear(2, 2))
    broken = initialize(EfficientViT("b0", 7, 32), 1)
    with torch.no_grad():
        broken.head.op_list[2].norm.weight[3] = np.nan
    with pytest.raises(GraphError, match=r"head\.op_list\.2\.norm: weights and biases must be finite"):
        layers_of(broken)
    broken = initialize(EfficientViT("b0", 7, 32), 1)
    broken.head.op_list[1] = nn.Dropout()
    with pytest.raises(GraphError, match=r"head\.op_list\.1: no rule for a Dropout"):
        layers_of(broken)


STAGE = "backbone.stages.2.op_list.1"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {},
            {
                "context_module.main.qkv": TensorRule(16, 12, True),
                "context_module.main.aggreg.0.0": TensorRule(1, 12),
                "context_module.main.aggreg.0.1": TensorRule(16, 12, True, True),
                "context_module.main.attention": TensorRule(128, 1),
                "context_module.main.proj": TensorRule(1, 1),
                "local_module.main.inverted_conv": TensorRule(1, 256),
                "local_module.main.depth_conv": TensorRule(1, 1),
                "head.op_list.0": TensorRule(1, 1024),
                "head.op_list.1": TensorRule(1, 1),
                "head.op_list.2.linear": TensorRule(1280, 1),
                "backbone.input_stem.op_list.0": TensorRule(1, 8),
            },
        ),
        (
            {"migration": False, "shifting": "none", "head_scales": False},
            {
                "context_module.main.qkv": TensorRule(16, 1, True),
                "context_module.main.aggreg.0.0": TensorRule(192, 1),
                "local_module.main.inverted_conv": TensorRule(256, 1),
                "local_module.main.depth_conv": TensorRule(256, 1),
            },
        ),
        (
            {"shifting": "projection"},
            {"local_module.main.depth_conv": TensorRule(1, 1), "context_module.main.proj": TensorRule(64, 1)},
        ),
        (
            {"symmetric": True, "shifting": "projection"},
            {
                "local_module.main.inverted_conv": TensorRule(1, 256, True),
                "local_module.main.depth_conv": TensorRule(1, 1),
                "context_module.main.attention": TensorRule(128, 1, True),
                "head.op_list.2.linear": TensorRule(1280, 1, True),
            },
        ),
    ],
)
def test_rules(layers, settings, expected):
    rules = tensor_rules(layers, Settings(**settings))
    assert len(rules) == len(layers) - 1
    for name, rule in expected.items():
        path = name if name.startswith(("head", "backbone")) else f"{STAGE}.{name}"
        assert rules[path] == rule, name
