"""The float network as a list of the integer network's nodes, each with its float parameters.

A node is named after the float module that computes it (the path of the official checkpoints without `.conv`),
for example `backbone.stages.2.op_list.1.context_module.main.qkv`; `input` is the image. The last convolution of a
residual block also adds the block's input, so its tensor is the output of the whole block.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from triovit.golden.integer.network import INPUT
from triovit.golden.network.efficientvit.blocks import (
    AttentionBlock,
    ConvNormAct,
    DSConv,
    LinearAttention,
    LinearNormAct,
    LiteMLA,
    MBConv,
    OpList,
    Residual,
)
from triovit.golden.network.efficientvit.model import EfficientViT
from triovit.golden.network.fold import FoldedConvolution, fold
from triovit.golden.quantization.settings import QuantizationError


@dataclass(frozen=True)
class Layer:
    """One node to be.

    name: of the node and its tensor. kind: "convolution" (fully connected ones too), "attention", "pool" or "norm".
    inputs: names of tensors. output: float module whose output is the node's tensor. residual: tensor added to
    the result, or None. activation: as in PostParameters. operand: float module whose input is hardswish's.
    convolution: folded parameters. gamma, beta, eps: of a LayerNorm. heads, dim: of an attention, a branch.
    projection: True for an MBConv's or DSConv's last layer. fully_connected: True for the classifier's two layers.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    output: str
    residual: str | None = None
    activation: str = "linear"
    operand: str | None = None
    convolution: FoldedConvolution | None = None
    gamma: np.ndarray | None = None
    beta: np.ndarray | None = None
    eps: float = 0.0
    heads: int = 0
    dim: int = 0
    projection: bool = False
    fully_connected: bool = False


def plan(model: EfficientViT) -> list[Layer]:
    """Layers in execution order; raises QuantizationError for another model or for parameters that are not finite."""
    if not isinstance(model, EfficientViT):
        raise QuantizationError(f"model must be an EfficientViT, not {type(model).__name__}")
    layers: list[Layer] = []
    tensor = _walk("backbone.input_stem", model.backbone.input_stem, INPUT, layers)
    for number, stage in enumerate(model.backbone.stages):
        tensor = _walk(f"backbone.stages.{number}", stage, tensor, layers)
    _walk("head", model.head, tensor, layers)
    layers[-1] = replace(layers[-1], activation="wide")
    return layers


def _walk(name: str, module: nn.Module, source: str, layers: list[Layer]) -> str:
    """Append the layers of `module`, which reads the tensor `source`; returns the name of its output tensor."""
    match module:
        case ConvNormAct():
            active = isinstance(module.act, nn.Hardswish)
            layers.append(
                Layer(
                    name,
                    "convolution",
                    (source,),
                    name,
                    convolution=fold(name, module.conv, module.norm),
                    activation="hardswish" if active else "linear",
                    operand=f"{name}.act" if active else None,
                )
            )
        case nn.Conv2d():
            layers.append(Layer(name, "convolution", (source,), name, convolution=fold(name, module)))
        case nn.AdaptiveAvgPool2d():
            layers.append(Layer(name, "pool", (source,), name))
        case LinearNormAct():
            layers.append(
                Layer(
                    f"{name}.linear",
                    "convolution",
                    (source,),
                    f"{name}.linear",
                    convolution=fold(f"{name}.linear", module.linear),
                    fully_connected=True,
                )
            )
            if isinstance(module.norm, nn.LayerNorm):
                gamma, beta = (p.detach().double().numpy() for p in (module.norm.weight, module.norm.bias))
                if not np.isfinite(gamma).all() or not np.isfinite(beta).all():
                    raise QuantizationError(f"{name}.norm: weights and biases must be finite numbers")
                layers.append(
                    Layer(
                        f"{name}.norm",
                        "norm",
                        (layers[-1].name,),
                        f"{name}.act",
                        activation="hardswish",
                        operand=f"{name}.act",
                        gamma=gamma,
                        beta=beta,
                        eps=module.norm.eps,
                    )
                )
        case Residual():
            result = _walk(f"{name}.main", module.main, source, layers)
            if module.shortcut:
                layers[-1] = replace(layers[-1], residual=source, output=name)
            return result
        case LiteMLA():
            qkv = _walk(f"{name}.qkv", module.qkv, source, layers)
            branches = [qkv]
            for number, scale in enumerate(module.aggreg):
                tensor = qkv
                for position, part in enumerate(scale):
                    tensor = _walk(f"{name}.aggreg.{number}.{position}", part, tensor, layers)
                branches.append(tensor)
            attention: LinearAttention = module.attention
            heads = module.qkv.conv.out_channels // (3 * attention.dim)
            layers.append(
                Layer(
                    f"{name}.attention",
                    "attention",
                    tuple(branches),
                    f"{name}.attention",
                    heads=heads,
                    dim=attention.dim,
                )
            )
            return _walk(f"{name}.proj", module.proj, layers[-1].name, layers)
        case OpList() | AttentionBlock() | DSConv() | MBConv():
            children = module.op_list.named_children() if isinstance(module, OpList) else module.named_children()
            prefix = f"{name}.op_list" if isinstance(module, OpList) else name
            for child, part in children:
                source = _walk(f"{prefix}.{child}", part, source, layers)
            if isinstance(module, (DSConv, MBConv)):
                layers[-1] = replace(layers[-1], projection=True)
            return source
        case _:
            raise QuantizationError(f"{name}: no rule for a {type(module).__name__}")
    return layers[-1].name
