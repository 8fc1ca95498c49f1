"""The simulation of one unit with what is learned in the place of constants."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from triovit.golden.network.efficientvit.graph import Layer
from triovit.golden.quantization.calibration.observers import Range
from triovit.golden.quantization.encoding import Encoding
from triovit.golden.quantization.fake_quantized import Simulation
from triovit.golden.quantization.reconstruction.rounding import Rounding
from triovit.golden.quantization.reconstruction.units import Unit
from triovit.golden.quantization.scheme import Scheme
from triovit.golden.quantization.weights import additive, uniform
from triovit.golden.quantization.weights.layers import step_rule
from triovit.golden.quantization.weights.quantized import QuantizedWeights, by_filter

LEAST_FACTOR, MOST_FACTOR = 0.5, 2.0
POINTS = ("kv", "sum")


class LearnedUnit(Simulation):
    """Parameters of one unit.

    roundings: of every convolution's weights. factors: on the scales of the unit's tensors, one a tensor, so that
    channel-wise factors and zero points stay; q, k and v have one each where they have scales a head. inner: factors on
    the scales of K^T V and row sums, one a branch. Where scales are powers of two, both are empty.
    """

    def __init__(self, scheme: Scheme, unit: Unit):
        super().__init__(scheme)
        self.unit = unit
        self.roundings = {
            layer.name: Rounding(layer, scheme.weights[layer.name], scheme.encodings[layer.inputs[0]])
            for layer in unit.layers
            if layer.kind == "convolution"
        }
        self.factors: dict[str, torch.Tensor] = {}
        self.inner: dict[str, torch.Tensor] = {}
        self._fixed: dict[str, torch.Tensor] = {}
        if scheme.power_of_two:
            return
        read = {name: layer for layer in unit.layers if layer.kind == "attention" for name in layer.inputs}
        for layer in unit.layers:
            if layer.activation != "wide":  # logits keep their headroom
                split = layer.name in read and scheme.settings.head_scales
                self.factors[layer.name] = torch.ones(3 if split else 1, requires_grad=True)
            if layer.kind == "attention":
                self.inner |= {
                    f"{layer.name}.{point}{branch}": torch.ones(1, requires_grad=True)
                    for branch in range(len(layer.inputs))
                    for point in POINTS
                }
        self._dim = {name: layer.dim for name, layer in read.items()}

    def weight(self, layer: Layer) -> torch.Tensor:
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
        self._fixed = {layer.name: decided.weight(layer) for layer in self.unit.layers if layer.name in self.roundings}

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
            if layer.kind == "convolution" and {layer.name, layer.residual, *layer.inputs} & set(self.factors):
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
    layer: Layer, weights: QuantizedWeights, before: Scheme, encodings: dict[str, Encoding]
) -> QuantizedWeights:
    """The weights with steps for new encodings; the same integers, where no step would become too small for the
    accumulator (filters that batch normalization has all but switched off): those filters are rounded again.
    """
    conv, source = layer.convolution, layer.inputs[0]
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
