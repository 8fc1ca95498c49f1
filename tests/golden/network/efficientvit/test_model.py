"""Structure of the float networks: parameter names and counts, layer order, attention, argument checks."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.golden.network.efficientvit.layers import named_layers
from triovit.golden.network.efficientvit.blocks import LinearAttention
from triovit.golden.network.efficientvit.model import EfficientViT
from triovit.golden.network.efficientvit.presets import PRESETS
from triovit.golden.network.seeded import initialize

PARAMETERS = {"b0": 3_410_008, "b1": 9_102_024, "b2": 24_330_712, "b3": 48_646_056}


def empty(preset, **arguments):
    with torch.device("meta"):
        return EfficientViT(preset, **arguments)


@pytest.mark.parametrize("preset", PRESETS)
def test_parameter_count(preset):
    assert sum(parameter.numel() for parameter in empty(preset).parameters()) == PARAMETERS[preset]


@pytest.mark.parametrize(
    ("preset", "resolution", "millions"),
    [
        ("b0", 224, 100.23), ("b0", 256, 130.12), ("b0", 288, 164.00),
        ("b1", 224, 519.215), ("b1", 256, 676.916), ("b1", 288, 855.644),
        ("b2", 224, 1584.94), ("b2", 256, 2067.53), ("b2", 288, 2614.48),
        ("b3", 224, 3953.82), ("b3", 256, 5161.59), ("b3", 288, 6530.39),
    ],
)  # fmt: skip
def test_multiply_accumulates(preset, resolution, millions):
    """Published totals, and for B1 three decimals: padding counts, and the attention's row of ones, which is the
    divisor; normalizations, activations and additions do not."""
    model, macs = empty(preset, resolution=resolution).eval(), []

    def count(module, inputs, output):
        pixels = output[0, 0].numel()
        if isinstance(module, LinearAttention):
            macs.append(2 * output.shape[1] * (module.dim + 1) * pixels)
        else:
            macs.append(module.weight.numel() * pixels)

    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear, LinearAttention)):
            module.register_forward_hook(count)
    with torch.no_grad():
        model(torch.empty(1, 3, resolution, resolution, device="meta"))
    assert round(sum(macs) / 1e6, 3 if preset == "b1" else 2) == millions


def test_official_parameter_names():
    names = set(empty("b1").state_dict())
    for name in (
        "backbone.input_stem.op_list.0.conv.weight",
        "backbone.input_stem.op_list.1.main.depth_conv.norm.running_var",
        "backbone.stages.0.op_list.1.main.inverted_conv.norm.weight",
        "backbone.stages.2.op_list.0.main.inverted_conv.conv.bias",
        "backbone.stages.3.op_list.4.context_module.main.qkv.conv.weight",
        "backbone.stages.3.op_list.4.context_module.main.aggreg.0.0.weight",
        "backbone.stages.3.op_list.4.context_module.main.aggreg.0.1.weight",
        "backbone.stages.3.op_list.4.context_module.main.proj.norm.bias",
        "backbone.stages.3.op_list.4.local_module.main.depth_conv.conv.bias",
        "head.op_list.0.norm.running_mean",
        "head.op_list.2.linear.weight",
        "head.op_list.2.norm.bias",
        "head.op_list.3.linear.bias",
    ):
        assert name in names
    assert "backbone.stages.2.op_list.0.main.inverted_conv.norm.weight" not in names
    assert "backbone.stages.2.op_list.1.context_module.main.qkv.conv.bias" not in names
    assert "head.op_list.2.linear.bias" not in names


def test_named_layers_come_in_execution_order():
    model = EfficientViT("b1", 10, 32).eval()
    layers = named_layers(model)
    ran = []
    for name, module in layers:
        module.register_forward_hook(lambda _module, _inputs, _output, name=name: ran.append(name))
    with torch.no_grad():
        model(torch.zeros(1, 3, 32, 32))
    assert ran == [name for name, _ in layers]
    with_weights = {name for name, _ in model.named_modules() if name.endswith((".conv", ".linear"))}
    covered = {f"{name}.{part}" for name, module in layers for part in ("conv", "linear") if hasattr(module, part)}
    assert covered == with_weights
    # 1 stem, 22 depthwise, 43 pointwise, 1 head convolution, 7 grouped, 2 linear, 7 attentions, 1 pool
    assert len(layers) == 84


def attention_in_quadratic_form(qkv, dim, eps):
    """The definition, token by token, in NumPy float64: weights relu(k) . relu(q) over all tokens, then v."""
    channels, height, width = qkv.shape
    out = []
    for head in qkv.reshape(channels // (3 * dim), 3, dim, height * width).astype(np.float64):
        q, k, v = np.maximum(head[0], 0), np.maximum(head[1], 0), head[2]
        scores = k.T @ q
        out.append((v @ scores) / (scores.sum(axis=0) + eps))
    return np.concatenate(out).reshape(-1, height, width)


@pytest.mark.parametrize("size", [(2, 3), (7, 7)])  # fewer and more tokens than dim = 16
def test_attention_agrees_with_its_definition(size):
    qkv = torch.randn(2, 4 * 3 * 16, *size, generator=torch.Generator().manual_seed(1))
    out = LinearAttention(16, 1e-15)(qkv)
    assert out.shape == (2, 64, *size)
    for image in range(2):
        expected = attention_in_quadratic_form(qkv[image].numpy(), 16, 1e-15)
        np.testing.assert_allclose(out[image].numpy(), expected, rtol=1e-3, atol=1e-4)


def test_attention_of_dead_queries_is_zero_and_half_precision_is_widened():
    qkv = torch.full((1, 48, 2, 2), -1.0)
    assert torch.equal(LinearAttention(16, 1e-15)(qkv), torch.zeros(1, 16, 2, 2))
    large = torch.full((1, 48, 8, 8), 100.0, dtype=torch.float16)  # k.q sums reach 1e7, beyond float16
    out = LinearAttention(16, 1e-15)(large)
    assert out.dtype == torch.float16
    assert torch.allclose(out.float(), torch.full((1, 16, 8, 8), 100.0))


def test_eps_reaches_every_attention():
    model = empty("b0", eps=1e-5)
    found = [module.eps for module in model.modules() if isinstance(module, LinearAttention)]
    assert found == [1e-5] * 4


def test_residual_blocks_add_and_downsampling_blocks_do_not():
    model = initialize(EfficientViT("b0", 10, 32), seed=3)
    x = torch.randn(1, 8, 16, 16, generator=torch.Generator().manual_seed(2))
    stem_block = model.backbone.input_stem.op_list[1]
    down = model.backbone.stages[0].op_list[0]
    with torch.no_grad():
        assert torch.equal(stem_block(x), stem_block.main(x) + x)
        assert torch.equal(down(x), down.main(x))
        assert down(x).shape == (1, 16, 8, 8)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"preset": "b4"}, ValueError, "preset must be one of b0, b1, b2, b3, not 'b4'"),
        ({"preset": ["b0"]}, ValueError, "preset"),
        ({"n_classes": 1}, ValueError, "n_classes must be at least 2, not 1"),
        ({"n_classes": 10.0}, TypeError, "n_classes must be an integer"),
        ({"resolution": 100}, ValueError, "resolution must be a multiple of 32 from 32 to 1024, not 100"),
        ({"resolution": 0}, ValueError, "resolution"),
        ({"resolution": 2048}, ValueError, "resolution"),
        ({"resolution": "224"}, TypeError, "resolution must be an integer"),
        ({"eps": 0.0}, ValueError, "eps must be greater than 0"),
    ],
)
def test_wrong_arguments(arguments, error, words):
    with pytest.raises(error) as caught:
        EfficientViT(**arguments)
    assert words in str(caught.value)


def test_smallest_and_largest_arguments():
    assert empty("b0", n_classes=2, resolution=32).n_classes == 2
    assert empty("b0", resolution=1024).resolution == 1024


@pytest.mark.parametrize("shape", [(1, 3, 64, 64), (3, 32, 32), (1, 1, 32, 32)])
def test_wrong_input_shape(shape):
    with pytest.raises(ValueError, match=r"images must have shape \(N, 3, 32, 32\)"):
        EfficientViT("b0", 10, 32)(torch.zeros(shape))
