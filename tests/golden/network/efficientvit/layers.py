"""The layers of a float EfficientViT, found by their modules."""

from torch import nn

from triovit.golden.network.efficientvit.blocks import ConvNormAct, LinearAttention, LinearNormAct


def named_layers(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """(name, module) of every layer that computes, in execution order.

    A layer is a ConvNormAct, a LinearNormAct, a LinearAttention, the average pool, or one of the two bare
    convolutions of an attention block (`aggreg.0.0`, `aggreg.0.1`). The residual additions are not layers:
    they are the outputs of the `Residual` modules.
    """
    layers, inside = [], ()
    for name, module in model.named_modules():
        if inside and name.startswith(inside):
            continue
        if isinstance(module, (ConvNormAct, LinearNormAct, LinearAttention, nn.Conv2d, nn.AdaptiveAvgPool2d)):
            layers.append((name, module))
            inside = (name + ".",)
    return layers
