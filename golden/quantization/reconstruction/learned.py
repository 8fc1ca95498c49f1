"""The simulation of one block with what is learned in the place of constants."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from triovit.golden.network.graph import ConvolutionLayer, LinearAttentionLayer, WeightedLayer
from triovit.golden.quantization.calibration.observers import Range
from triovit.golden.quantization.encoding import Encoding
from triovit.golden.quantization.fake_quantized import Simulation
from triovit.golden.quantization.reconstruction.blocks import Block
from triovit.golden.quantization.reconstruction.rounding import Rounding
from triovit.golden.quantization.scheme import Scheme
from triovit.golden.quantization.weights import additive, uniform
from triovit.golden.quantization.weights.layers import step_rule
from triovit.golden.quantization.weights.quantized import QuantizedWeights, by_filter

LEAST_FACTOR, MOST_FACTOR = 0.5, 2.0
POINTS = ("kv", "sum")


class LearnedBlock(Simulation):
    """Parameters of one block.

    roundings: of every convolution's weights. factors: on the scales of the block's tensors, one per tensor, so that
    channel-wise factors and zero points stay; q, k and v have one each where they have scales per head. inner: factors
    on the scales of K^T V and row sums, one per branch. Where scales are powers of two, both are empty.
    """

    def __init__(self, scheme: Scheme, block: Block):
        super().__init__(scheme)
        self.block = block
        self.convolutions = [layer for layer in block.layers if isinstance(layer, ConvolutionLayer)]
        self.roundings = {
            layer.name: Rounding(layer, scheme.weights[layer.name], scheme.encodings[layer.input])
            for layer in self.convolutions
        }
        self.factors: dict[str, torch.Tensor] = {}
        self.inner: dict[str, torch.Tensor] = {}
        self._fixed: dict[str, torch.Tensor] = {}
        if scheme.power_of_two:
            return
        attentions = [layer for layer in block.layers if isinstance(layer, LinearAttentionLayer)]
        self._dim = {name: layer.dim for layer in attentions for name in layer.inputs}
        for layer in block.layers:
            if layer.activation != "wide":  # logits keep their headroom
                split = layer.name in self._dim and scheme.settings.head_scales
                self.factors[layer.name] = torch.ones(3 if split else 1, requires_grad=True)
        self.inner = {
            f"{layer.name}.{point}{branch}": torch.ones(1, requires_grad=True)
            for layer in attentions
            for branch in range(len(layer.inputs))
            for point in POINTS
        }

    def weight(self, layer: WeightedLayer) -> torch.Tensor:
        if layer.name in self._fixed:
            return self._fixed[layer.name]
        return self.roundings[layer.name].soft() if layer.name in self.roundings else super().weight(layer)

    def scale(self, name: str) -> torch.Tensor:
        if name in self.inner:
            return super().scale(name) * self.inner[name]
        return super().scale(name) * self._channels(name) if name in self.factors else super().scale(name)

    def freeze(self) -> None:
        """From now on weights are the integers that were decided."""
        decided = Simulation(self._with_roundings())
        self._fixed = {layer.name: decided.weight(layer) for layer in self.convolutions}

    @torch.no_grad()
    def limit(self) -> None:
        """Keep factors within what is plausible."""
        for factor in (*self.factors.values(), *self.inner.values()):
            factor.clamp_(LEAST_FACTOR, MOST_FACTOR)

    @torch.no_grad()
    def result(self) -> Scheme:
        """The scheme with what was learned: integers, encodings, ranges of K^T V and row sums.

        Every step of weights that read a tensor takes the factor of its scale, so that the integers stay.
        """
        scheme, encodings, ranges = self._with_roundings(), dict(self.scheme.encodings), dict(self.scheme.ranges)
        for name in self.factors:
            factor = self._channels(name).double().numpy()
            encodings[name] = Encoding(encodings[name].scale * factor, encodings[name].zero_point)
        for point, factor in self.inner.items():
            factor = float(factor)
            ranges[point] = Range(ranges[point].low * factor, ranges[point].high * factor)
        weights = dict(scheme.weights)
        for layer in scheme.layers:
            if isinstance(layer, ConvolutionLayer) and {layer.name, layer.residual, layer.input} & set(self.factors):
                weights[layer.name] = rescale(layer, weights[layer.name], self.scheme, encodings)
        return dataclasses.replace(scheme, encodings=encodings, ranges=ranges, weights=weights)

    def _with_roundings(self) -> Scheme:
        weights = self.scheme.weights | {
            name: dataclasses.replace(self.scheme.weights[name], values=rounding.hard())
            for name, rounding in self.roundings.items()
        }
        return dataclasses.replace(self.scheme, weights=weights)

    def _channels(self, name: str) -> torch.Tensor:
        """The factor of every channel of a tensor."""
        channels, factor = len(self.scheme.encodings[name].scale), self.factors[name]
        if len(factor) == 1:
            return factor.expand(channels)
        return factor.repeat_interleave(self._dim[name]).repeat(channels // (3 * self._dim[name]))


def rescale(
    layer: ConvolutionLayer, weights: QuantizedWeights, before: Scheme, encodings: dict[str, Encoding]
) -> QuantizedWeights:
    """The weights with steps for new encodings; the same integers, where no step would become too small for the
    accumulator (filters that batch normalization has all but switched off): those filters are rounded again.
    """
    conv, source = layer.folded, layer.input
    ratio = by_filter(encodings[source].scale / before.encodings[source].scale, conv)
    step = weights.step * np.broadcast_to(ratio, (len(weights.step), *ratio.shape[1:]))[:, 0, 0, 0]
    least = np.broadcast_to(step_rule(layer, encodings, before.settings, weights.fraction_bits).least, step.shape)
    small = step < least
    values = weights.values.copy()
    if small.any():
        step = np.maximum(step, least)
        real = (conv.weight * by_filter(encodings[source].scale, conv)).reshape(len(step), -1)
        values[small] = uniform.rounding(weights.bits)(real, step).reshape(values.shape)[small]
        if weights.apot is not None and len(weights.apot_filters):
            also = small & weights.apot_filters
            values[also] = additive.rounding(weights.apot)(real, step).reshape(values.shape)[also]
    return dataclasses.replace(weights, values=values, step=step)
