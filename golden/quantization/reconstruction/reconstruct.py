"""Block-wise reconstruction (BRECQ, as Trio-ViT's release uses it): learned weight rounding and activation scales.

Unit after unit, in the order of the network: its input is what the quantized network before it gives, its target what
the float network gives. After learning, every weight is an integer. Every eighth calibration image is held out: a unit
keeps what was learned only if it makes its error on those smaller, so that no unit gets worse. (The search of divisors
that follows looks at attentions alone and may move that by a little.)
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from triovit.golden.data.images import normalize
from triovit.golden.network.efficientvit.model import EfficientViT
from triovit.golden.quantization.calibration import capture
from triovit.golden.quantization.fake_quantized import Simulation
from triovit.golden.quantization.reconstruction.learn import forward, learn, total_steps
from triovit.golden.quantization.reconstruction.learned import LearnedUnit
from triovit.golden.quantization.reconstruction.options import Options, find_options
from triovit.golden.quantization.reconstruction.result import UnitResult
from triovit.golden.quantization.reconstruction.units import Unit, split
from triovit.golden.quantization.scheme import Scheme
from triovit.golden.quantization.weights.layers import step_rule, with_bias

HELD_OUT = 8  # every eighth image
BATCH = 16  # of images that only run forward


def reconstruct(
    model: EfficientViT,
    scheme: Scheme,
    images: np.ndarray,
    mean,
    std,
    progress: capture.Progress | None = None,
    options: Options | None = None,
) -> tuple[Scheme, tuple[UnitResult, ...]]:
    """The scheme with learned roundings, scales and biases, and a result a unit.

    model: the float network. images: (N, R, R, 3) uint8; of many, evenly spaced ones are used. options: default by the
    scheme's `reconstruction`. Scales that are powers of two are not learned. The outcome depends on the settings' seed
    and on PyTorch's number of threads. Divisors stay as they are: search them again.
    progress: called with (unit, steps done, steps in all).
    """
    options = options or find_options(scheme.settings.reconstruction)
    images = capture.evenly(images, options.images)
    generator = torch.Generator().manual_seed(scheme.settings.seed)
    held = torch.arange(len(images)) % HELD_OUT == HELD_OUT - 1
    if not held.any():
        held[-1] = True
    learning = ~held if len(images) > 1 else held
    real = normalize(torch.from_numpy(images), mean, std)
    integers = (torch.from_numpy(images).short() - 128).to(torch.int8).permute(0, 3, 1, 2).contiguous()
    results, training = [], model.training
    model.eval()
    try:
        for unit in split(model, scheme.layers):
            real = _run(model.get_submodule(unit.name), real)
            target = real.reshape(*real.shape[:2], *(real.shape[2:] or (1, 1)))
            scheme, result = _unit(scheme, unit, integers, target, held, learning, options, generator, progress)
            results.append(result)
            integers = _integers(Simulation(scheme), _of(scheme, unit), integers)
    finally:
        model.train(training)
    return scheme, tuple(results)


def _unit(
    scheme: Scheme,
    unit: Unit,
    integers: torch.Tensor,
    target: torch.Tensor,
    held: torch.Tensor,
    learning: torch.Tensor,
    options: Options,
    generator: torch.Generator,
    progress: capture.Progress | None,
) -> tuple[Scheme, UnitResult]:
    unit = _of(scheme, unit)
    sim = LearnedUnit(scheme, unit)
    total = total_steps(sim, options)

    def steps(done: int) -> None:
        if progress:
            progress(f"reconstruction of {unit.name}", done, total)

    with torch.enable_grad():
        done = learn(sim, integers[learning], target[learning], options, generator, steps)
    candidates = {"nothing": scheme, "learned": sim.result()}
    for name, candidate in list(candidates.items()):
        corrected = _correct_bias(candidate, unit, integers[learning], target[learning])
        if corrected is not None:
            candidates["bias" if name == "nothing" else f"{name}, bias"] = corrected
    errors = {name: _error(candidate, unit, integers[held], target[held]) for name, candidate in candidates.items()}
    kept = min(errors, key=errors.get)  # of equals the first
    convolutions = [layer.name for layer in unit.layers if layer.kind == "convolution"]
    changed = sum(
        int((candidates[kept].weights[name].values != scheme.weights[name].values).sum()) for name in convolutions
    )
    signal = float((target[held].double() ** 2).mean())
    return candidates[kept], UnitResult(
        unit.name,
        signal,
        errors["nothing"],
        errors[kept],
        kept,
        done,
        changed,
        sum(scheme.weights[name].values.size for name in convolutions),
    )


@torch.no_grad()
def _error(scheme: Scheme, unit: Unit, integers: torch.Tensor, target: torch.Tensor) -> float:
    """Mean squared error of a unit's output."""
    sim, unit, total = Simulation(scheme), _of(scheme, unit), 0.0
    for x, y in zip(integers.split(BATCH), target.split(BATCH), strict=True):
        total += float(((forward(sim, unit, x) - y).double() ** 2).sum())
    return total / target.numel()


@torch.no_grad()
def _correct_bias(scheme: Scheme, unit: Unit, integers: torch.Tensor, target: torch.Tensor) -> Scheme | None:
    """The scheme with the mean error of a unit's output taken back by its last bias; None if that is no plain sum.

    A filter whose step is too fine for the new bias (one that is all but switched off) keeps the old one.
    """
    sim, unit, last = Simulation(scheme), _of(scheme, unit), unit.layers[-1]
    if last.kind != "convolution" or last.activation == "hardswish":
        return None
    total = torch.zeros(target.shape[1], dtype=torch.float64)
    for x, y in zip(integers.split(BATCH), target.split(BATCH), strict=True):
        total += (y - forward(sim, unit, x)).double().sum((0, 2, 3))
    mean = total.numpy() / (target.numel() // target.shape[1])

    corrected = with_bias(last, last.convolution.bias + mean)
    weights = scheme.weights[last.name]
    fits = step_rule(corrected, scheme.encodings, scheme.settings, weights.fraction_bits).least <= weights.step
    corrected = with_bias(last, np.where(fits, corrected.convolution.bias, last.convolution.bias))
    return dataclasses.replace(
        scheme, layers=tuple(corrected if layer.name == last.name else layer for layer in scheme.layers)
    )


@torch.no_grad()
def _integers(sim: Simulation, unit: Unit, integers: torch.Tensor) -> torch.Tensor:
    """Integers of a unit's output from those of its input."""
    return torch.cat([sim.encode(unit.output, forward(sim, unit, x)) for x in integers.split(BATCH)])


@torch.no_grad()
def _run(module: torch.nn.Module, values: torch.Tensor) -> torch.Tensor:
    return torch.cat([module(x) for x in values.split(BATCH)])


def _of(scheme: Scheme, unit: Unit) -> Unit:
    """The unit with the scheme's layers, whose biases may have changed."""
    own = {layer.name for layer in unit.layers}
    return dataclasses.replace(unit, layers=tuple(layer for layer in scheme.layers if layer.name in own))
