"""Block-wise reconstruction (BRECQ, as Trio-ViT's release uses it): learned weight rounding and activation scales.

Block after block, in the order of the network: its input is what the quantized network before it gives, its target what
the float network gives. After learning, every weight is an integer. Every eighth calibration image is held out: a block
keeps what was learned only if it makes its error on those smaller, so that no block gets worse. (The search of divisors
that follows looks at attentions alone and may move that by a little.)
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from triovit.golden.integer.execute import centre
from triovit.golden.network.classifier import Classifier
from triovit.golden.network.graph import ConvolutionLayer
from triovit.golden.network.normalize import normalize
from triovit.golden.quantization.calibration import capture
from triovit.golden.quantization.fake_quantized import Simulation
from triovit.golden.quantization.reconstruction.blocks import Block, split
from triovit.golden.quantization.reconstruction.learn import forward, learn, total_steps
from triovit.golden.quantization.reconstruction.learned import LearnedBlock
from triovit.golden.quantization.reconstruction.options import Options, find_options
from triovit.golden.quantization.reconstruction.result import BlockResult
from triovit.golden.quantization.scheme import Scheme
from triovit.golden.quantization.weights.layers import step_rule

HELD_OUT = 8  # every eighth image
BATCH = 16  # of images that only run forward


def reconstruct(
    model: Classifier,
    scheme: Scheme,
    images: np.ndarray,
    mean,
    std,
    progress: capture.Progress | None = None,
    options: Options | None = None,
) -> tuple[Scheme, tuple[BlockResult, ...]]:
    """The scheme with learned roundings, scales and biases, and a result per block.

    model: the float network. images: (N, R, R, 3) uint8; of many, evenly spaced ones are used. options: default by the
    scheme's `reconstruction`. Scales that are powers of two are not learned. The outcome depends on the settings' seed
    and on PyTorch's number of threads. Divisors stay as they are: search them again.
    progress: called with (block, steps done, steps in all).
    """
    options = options or find_options(scheme.settings.reconstruction)
    images = capture.evenly(images, options.images)
    generator = torch.Generator().manual_seed(scheme.settings.seed)
    held = torch.arange(len(images)) % HELD_OUT == HELD_OUT - 1
    if not held.any():
        held[-1] = True
    learning = ~held if len(images) > 1 else held
    real = normalize(torch.from_numpy(images), mean, std)
    integers = torch.from_numpy(centre(images)).permute(0, 3, 1, 2).contiguous()
    results, training = [], model.training
    model.eval()
    try:
        for block in split(scheme.layers):
            real = _run(model.get_submodule(block.name), real)
            target = real.reshape(*real.shape[:2], *(real.shape[2:] or (1, 1)))
            scheme, result = _block(scheme, block, integers, target, held, learning, options, generator, progress)
            results.append(result)
            integers = _integers(Simulation(scheme), _of(scheme, block), integers)
    finally:
        model.train(training)
    return scheme, tuple(results)


def _block(
    scheme: Scheme,
    block: Block,
    integers: torch.Tensor,
    target: torch.Tensor,
    held: torch.Tensor,
    learning: torch.Tensor,
    options: Options,
    generator: torch.Generator,
    progress: capture.Progress | None,
) -> tuple[Scheme, BlockResult]:
    block = _of(scheme, block)
    sim = LearnedBlock(scheme, block)
    total = total_steps(sim, options)

    def steps(done: int) -> None:
        if progress:
            progress(f"reconstruction of {block.name}", done, total)

    with torch.enable_grad():
        done = learn(sim, integers[learning], target[learning], options, generator, steps)
    candidates = {"nothing": scheme, "learned": sim.result()}
    for name, candidate in list(candidates.items()):
        corrected = _correct_bias(candidate, block, integers[learning], target[learning])
        if corrected is not None:
            candidates["bias" if name == "nothing" else f"{name}, bias"] = corrected
    errors = {name: _error(candidate, block, integers[held], target[held]) for name, candidate in candidates.items()}
    kept = min(errors, key=errors.__getitem__)  # of equals the first
    convolutions = [layer.name for layer in block.layers if isinstance(layer, ConvolutionLayer)]
    changed = sum(
        int((candidates[kept].weights[name].values != scheme.weights[name].values).sum()) for name in convolutions
    )
    signal = float((target[held].double() ** 2).mean())
    return candidates[kept], BlockResult(
        block.name,
        signal,
        errors["nothing"],
        errors[kept],
        kept,
        done,
        changed,
        sum(scheme.weights[name].values.size for name in convolutions),
    )


@torch.no_grad()
def _error(scheme: Scheme, block: Block, integers: torch.Tensor, target: torch.Tensor) -> float:
    """Mean squared error of a block's output."""
    sim, block, total = Simulation(scheme), _of(scheme, block), 0.0
    for x, y in zip(integers.split(BATCH), target.split(BATCH), strict=True):
        total += float(((forward(sim, block, x) - y).double() ** 2).sum())
    return total / target.numel()


@torch.no_grad()
def _correct_bias(scheme: Scheme, block: Block, integers: torch.Tensor, target: torch.Tensor) -> Scheme | None:
    """The scheme with the mean error of a block's output taken back by its last bias; None if that is no plain sum.

    A filter whose step is too fine for the new bias (one that is all but switched off) keeps the old one.
    """
    sim, block, last = Simulation(scheme), _of(scheme, block), block.layers[-1]
    if not isinstance(last, ConvolutionLayer) or last.activation == "hardswish":
        return None
    total = torch.zeros(target.shape[1], dtype=torch.float64)
    for x, y in zip(integers.split(BATCH), target.split(BATCH), strict=True):
        total += (y - forward(sim, block, x)).double().sum((0, 2, 3))
    mean = total.numpy() / (target.numel() // target.shape[1])

    corrected = last.with_bias(last.folded.bias + mean)
    weights = scheme.weights[last.name]
    fits = step_rule(corrected, scheme.encodings, scheme.settings, weights.fraction_bits).least <= weights.step
    corrected = last.with_bias(np.where(fits, corrected.folded.bias, last.folded.bias))
    return dataclasses.replace(
        scheme, layers=tuple(corrected if layer.name == last.name else layer for layer in scheme.layers)
    )


@torch.no_grad()
def _integers(sim: Simulation, block: Block, integers: torch.Tensor) -> torch.Tensor:
    """Integers of a block's output from those of its input."""
    return torch.cat([sim.encode(block.output, forward(sim, block, x)) for x in integers.split(BATCH)])


@torch.no_grad()
def _run(module: torch.nn.Module, values: torch.Tensor) -> torch.Tensor:
    return torch.cat([module(x) for x in values.split(BATCH)])


def _of(scheme: Scheme, block: Block) -> Block:
    """The block with the scheme's layers, whose biases may have changed."""
    own = {layer.name for layer in block.layers}
    return dataclasses.replace(block, layers=tuple(layer for layer in scheme.layers if layer.name in own))
