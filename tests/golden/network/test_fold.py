"""Folding against torch: convolution and batch normalization one after the other, in float64."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from triovit.golden.network.efficientvit.blocks import ConvNormAct, LinearNormAct
from triovit.golden.network.fold import fold, layer_norm_parameters
from triovit.golden.network.graph import GraphError


def randomized(module, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + (0.1 if "var" in name else -0.5))
    return module.eval().double()


@pytest.mark.parametrize(
    "arguments",
    [
        {"kernel": 3, "stride": 2},
        {"kernel": 1, "bias": True},
        {"kernel": 3, "groups": 8},
        {"kernel": 5, "groups": 4},
        {"kernel": 1, "bias": True, "norm": False},
        {"kernel": 3, "norm": False},
    ],
)
def test_folded_convolution_is_the_layer(arguments):
    module = randomized(ConvNormAct(8, 8, act=False, **arguments))
    folded = fold("a", module.conv, module.norm)
    x = torch.rand((2, 8, 7, 6), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    result = functional.conv2d(
        x,
        torch.from_numpy(folded.weight),
        torch.from_numpy(folded.bias),
        folded.stride,
        folded.padding,
        groups=folded.groups,
    )
    np.testing.assert_allclose(result.numpy(), module(x).detach().numpy(), rtol=1e-12, atol=1e-12)
    assert folded.channels == 8


@pytest.mark.parametrize("hidden", [True, False])
def test_linear_layer_is_a_convolution_on_a_pixel(hidden):
    linear = randomized(LinearNormAct(5, 3, hidden=hidden)).linear
    folded = fold("a", linear)
    x = torch.rand((1, 5, 1, 1), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    result = functional.conv2d(x, torch.from_numpy(folded.weight), torch.from_numpy(folded.bias))
    np.testing.assert_allclose(result.flatten().numpy(), linear(x.flatten()).detach().numpy(), rtol=1e-12)
    assert (folded.stride, folded.padding, folded.groups) == (1, 0, 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("conv.weight", np.nan),
        ("conv.bias", np.inf),
        ("norm.running_mean", np.nan),
        ("norm.running_var", -1.0),
        ("norm.weight", np.inf),
        ("norm.bias", np.nan),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_values_that_are_not_finite_are_refused(name, value):
    module = randomized(ConvNormAct(2, 2, bias=True))
    module.state_dict()[name].view(-1)[1] = value
    with pytest.raises(GraphError, match=r"^stem: weights, biases and normalization must be finite numbers$"):
        fold("stem", module.conv, module.norm)


@pytest.mark.parametrize("arguments", [{"affine": False}, {"track_running_stats": False}])
def test_a_normalization_without_parameters_is_refused(arguments):
    with pytest.raises(GraphError, match=r"^stem: a normalization must have weights and biases"):
        fold("stem", nn.Conv2d(2, 4, 1), nn.BatchNorm2d(4, **arguments))
    with pytest.raises(GraphError, match=r"^n: a normalization must have weights and biases"):
        layer_norm_parameters("n", nn.LayerNorm(4, elementwise_affine=False))


def test_no_bias_is_zero():
    folded = fold("a", nn.Conv2d(2, 4, 1, bias=False))
    assert folded.bias.tolist() == [0, 0, 0, 0]
