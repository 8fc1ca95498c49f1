"""Learning one block: weight roundings and scales that make its output the float network's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch

from triovit.golden.network.graph import ConvolutionLayer
from triovit.golden.quantization.fake_quantized import Simulation
from triovit.golden.quantization.reconstruction.blocks import Block
from triovit.golden.quantization.reconstruction.learned import LearnedBlock
from triovit.golden.quantization.reconstruction.options import Options

Steps = Callable[[int], None]  # called after every step with the number of steps done


def learn(
    sim: LearnedBlock,
    source: torch.Tensor,
    target: torch.Tensor,
    options: Options,
    generator: torch.Generator,
    steps: Steps,
) -> int:
    """Learn a block's parameters in place; returns the number of steps.

    source: (N, C, H, W) integers of the block's input, as the quantized network before it gives them. target: real
    outputs of the float network, (N, C', H', W'). First the roundings, then the scales of tensors, then those inside an
    attention, or all at once (see `Options`).
    """
    roundings = [rounding.alpha for rounding in sim.roundings.values()]
    tensors, inner = list(sim.factors.values()), list(sim.inner.values())
    everything = [*tensors, *inner]
    if options.joint:
        phases = [(options.iterations, roundings, everything, options.rounding_norm)]
    else:
        phases = [
            (options.iterations, roundings, [], options.rounding_norm),
            (options.scale_iterations, [], tensors, options.norm),
            (options.attention_iterations, [], inner, options.norm),
        ]
    done, size = 0, batch_size(sim.block, source, target, options)
    for count, alphas, scales, norm in phases:
        if not alphas and not scales:
            continue
        if not alphas and sim.roundings:
            sim.freeze()
        for parameter in (*roundings, *everything):
            parameter.requires_grad_(any(parameter is other for other in (*alphas, *scales)))
        groups = [
            {"params": parameters, "lr": rate}
            for parameters, rate in ((alphas, options.rounding_rate), (scales, options.scale_rate))
            if parameters
        ]
        optimizer = torch.optim.Adam(groups)
        chosen = batches(len(source), size, generator)
        for step in range(count):
            index = next(chosen)
            optimizer.zero_grad(set_to_none=True)
            loss = (forward(sim, sim.block, source[index]) - target[index]).abs().pow(norm).sum(1).mean()
            beta = exponent(step / count, options)
            if alphas and beta is not None:
                loss = loss + options.regularization * sum(r.regularizer(beta) for r in sim.roundings.values())
            loss.backward()
            if scales:
                optimizer.param_groups[-1]["lr"] = options.scale_rate * (1 + math.cos(math.pi * step / count)) / 2
            optimizer.step()
            sim.limit()
            done += 1
            steps(done)
    return done


def total_steps(sim: LearnedBlock, options: Options) -> int:
    """Steps that `learn` will take."""
    if options.joint:
        return options.iterations if sim.roundings or sim.factors else 0
    return (
        options.iterations * bool(sim.roundings)
        + options.scale_iterations * bool(sim.factors)
        + options.attention_iterations * bool(sim.inner)
    )


def forward(sim: Simulation, block: Block, integers: torch.Tensor) -> torch.Tensor:
    """Real output of a block, rounded to its encoding, from integers of its input."""
    x = sim.decode(block.source, integers).contiguous(memory_format=torch.channels_last)  # faster convolutions
    tensors = {block.source: x}
    for layer in block.layers:
        tensors[layer.name] = sim.run(layer, tensors)
    return tensors[block.output]


def exponent(share: float, options: Options) -> float | None:
    """beta of the regularizer after a share of the steps, falling on a line; None while it is off."""
    if share < options.warm_up:
        return None
    rest = (share - options.warm_up) / (1 - options.warm_up)
    return options.last_beta + (options.first_beta - options.last_beta) * (1 - rest)


def batches(count: int, size: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    """Endless batches of indices; every image comes once before one comes again, but for a remainder of a batch."""
    size = min(size, count)
    while True:
        order = torch.randperm(count, generator=generator)
        yield from order[: count - count % size].split(size)


def batch_size(block: Block, source: torch.Tensor, target: torch.Tensor, options: Options) -> int:
    """Images a step: fewer where maps are large, at least 2."""
    if not options.values:
        return options.batch
    pixels, largest = source[0, 0].numel(), max(source[0].numel(), target[0].numel())
    for layer in block.layers:
        if isinstance(layer, ConvolutionLayer):
            pixels //= layer.folded.stride**2
            largest = max(largest, pixels * layer.channels)
    return int(np.clip(options.values // largest, 2, options.batch))
