"""What is reconstructed as one: a residual block, or a layer that is in none."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from triovit.golden.network.efficientvit.blocks import ConvNormAct, LinearNormAct, Residual
from triovit.golden.network.efficientvit.graph import Layer
from triovit.golden.network.efficientvit.model import EfficientViT
from triovit.golden.quantization.settings import QuantizationError

_MODULES = (Residual, ConvNormAct, LinearNormAct, nn.AdaptiveAvgPool2d)


@dataclass(frozen=True)
class Unit:
    """Consecutive layers. name: of the float module that computes the same.

    The only tensor from outside that its layers read is `source`, the only one that later units read is `output`.
    """

    name: str
    layers: tuple[Layer, ...]

    @property
    def source(self) -> str:
        return self.layers[0].inputs[0]

    @property
    def output(self) -> str:
        return self.layers[-1].name


def split(model: EfficientViT, layers: tuple[Layer, ...]) -> list[Unit]:
    """Units in execution order: DSConv, MBConv and LiteMLA blocks (as in Trio-ViT's release), the first and the last
    convolution, the pool, and the fully connected layers, the first with its LayerNorm."""
    units, inside = [], ""
    for name, module in model.named_modules():
        if inside and name.startswith(inside):
            continue
        if isinstance(module, _MODULES):
            inside = name + "."
            units.append(Unit(name, tuple(layer for layer in layers if (layer.name + ".").startswith(inside))))
    _check(units, layers)
    return units


def _check(units: list[Unit], layers: tuple[Layer, ...]) -> None:
    if [layer for unit in units for layer in unit.layers] != list(layers):
        raise QuantizationError("the network's layers do not split into blocks")
    source = units[0].source
    for unit in units:
        own = {source, *(layer.name for layer in unit.layers)}
        for layer in unit.layers:
            if not {*layer.inputs, layer.residual or source} <= own:
                raise QuantizationError(f"{layer.name}: reads tensors from outside of its block")
        source = unit.output
