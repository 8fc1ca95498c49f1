"""EfficientViT's layers.

A layer is named after the float module that computes it (the path of the official checkpoints without `.conv`), for
example `backbone.stages.2.op_list.1.context_module.main.qkv`. The last convolution of a residual block also adds the
block's input, so its tensor is the output of the whole block. Blocks of reconstruction are DSConv, MBConv and LiteMLA
(as in Trio-ViT's release), the first and the last convolution, the pool, and the fully connected layers, the first with
its LayerNorm.
"""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from triovit.golden.integer.network import INPUT
from triovit.golden.network.efficientvit.blocks import (
    AttentionBlock,
    ConvNormAct,
    DSConv,
    LinearNormAct,
    LiteMLA,
    MBConv,
    OpList,
    Residual,
)
from triovit.golden.network.efficientvit.model import EfficientViT
from triovit.golden.network.efficientvit.presets import STRIDE
from triovit.golden.network.fold import fold, layer_norm_parameters
from triovit.golden.network.graph import (
    ConvolutionLayer,
    GraphError,
    Layer,
    LayerNormLayer,
    LinearAttentionLayer,
    PoolLayer,
)


def efficientvit_layers(model: EfficientViT) -> list[Layer]:
    """Layers in execution order; raises GraphError for modules without a rule and parameters that are not finite."""
    walk = _Walk(pixels=(model.resolution // STRIDE) ** 2)
    tensor = walk.module("backbone.input_stem", model.backbone.input_stem, INPUT)
    for number, stage in enumerate(model.backbone.stages):
        tensor = walk.module(f"backbone.stages.{number}", stage, tensor)
    walk.module("head", model.head, tensor)
    walk.change_last(wide=True)
    return walk.layers


class _Walk:
    """Collects the layers of modules. pixels: of the map that the head's pool reads."""

    def __init__(self, pixels: int):
        self.layers: list[Layer] = []
        self.pixels = pixels

    def module(self, name: str, module: nn.Module, source: str, block: str = "") -> str:
        """Append the layers of `module`, which reads the tensor `source`; returns the name of its output tensor.

        block: the one that the module is in; empty outside of blocks, where every module is one of its own.
        """
        own = block or name
        match module:
            case ConvNormAct():
                return self._add(
                    ConvolutionLayer(
                        name=name,
                        output=name,
                        block=own,
                        input=source,
                        module=f"{name}.conv",
                        folded=fold(name, module.conv, module.norm),
                        hardswish=f"{name}.act" if isinstance(module.act, nn.Hardswish) else None,
                    )
                )
            case nn.Conv2d():
                return self._add(
                    ConvolutionLayer(
                        name=name, output=name, block=own, input=source, module=name, folded=fold(name, module)
                    )
                )
            case nn.AdaptiveAvgPool2d():
                channels = self.layers[-1].channels
                return self._add(
                    PoolLayer(name=name, output=name, block=own, input=source, channels=channels, pixels=self.pixels)
                )
            case LinearNormAct():
                return self._linear(name, module, source, own)
            case Residual():
                result = self.module(f"{name}.main", module.main, source, name)
                if module.shortcut:
                    self.change_last(residual=source, output=name)
                return result
            case LiteMLA():
                return self._attention(name, module, source, own)
            case OpList() | AttentionBlock() | DSConv() | MBConv():
                children = module.op_list.named_children() if isinstance(module, OpList) else module.named_children()
                prefix = f"{name}.op_list" if isinstance(module, OpList) else name
                for child, part in children:
                    source = self.module(f"{prefix}.{child}", part, source, block)
                if isinstance(module, (DSConv, MBConv)):
                    self.change_last(projection=True)
                return source
        raise GraphError(f"{name}: no rule for a {type(module).__name__}")

    def change_last(self, **changes) -> None:
        """Other fields of the layer that was added last."""
        self.layers[-1] = replace(self.layers[-1], **changes)

    def _add(self, layer: Layer) -> str:
        self.layers.append(layer)
        return layer.name

    def _linear(self, name: str, module: LinearNormAct, source: str, block: str) -> str:
        linear = f"{name}.linear"
        tensor = self._add(
            ConvolutionLayer(
                name=linear,
                output=linear,
                block=block,
                input=source,
                module=linear,
                folded=fold(linear, module.linear),
                fully_connected=True,
            )
        )
        if not isinstance(module.norm, nn.LayerNorm):
            return tensor
        gamma, beta = layer_norm_parameters(f"{name}.norm", module.norm)
        return self._add(
            LayerNormLayer(
                name=f"{name}.norm",
                output=f"{name}.act",
                block=block,
                input=tensor,
                gamma=gamma,
                beta=beta,
                eps=module.norm.eps,
                hardswish=f"{name}.act",
            )
        )

    def _attention(self, name: str, module: LiteMLA, source: str, block: str) -> str:
        qkv = self.module(f"{name}.qkv", module.qkv, source, block)
        branches = [qkv]
        for number, scale in enumerate(module.aggreg):
            tensor = qkv
            for position, part in enumerate(scale.children()):
                tensor = self.module(f"{name}.aggreg.{number}.{position}", part, tensor, block)
            branches.append(tensor)
        dim = module.attention.dim
        attention = self._add(
            LinearAttentionLayer(
                name=f"{name}.attention",
                output=f"{name}.attention",
                block=block,
                inputs=tuple(branches),
                heads=module.qkv.conv.out_channels // (3 * dim),
                dim=dim,
            )
        )
        return self.module(f"{name}.proj", module.proj, attention, block)
