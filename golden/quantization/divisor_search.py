"""The log2 offset and gain of every attention branch with the least output error.

Trio-ViT gives a divisor 4 bits of log2 and a constant of the layer; the constant is the offset here. The leading-one
rule makes a result between 25 % too small and 50 % too large, 8 % too large on average: a gain per head takes the
average back and costs nothing, because it goes into the multiplier of the dividend.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from triovit.golden.network.classifier import Classifier
from triovit.golden.network.graph import LinearAttentionLayer
from triovit.golden.quantization.calibration import capture
from triovit.golden.quantization.export import attention
from triovit.golden.quantization.scheme import Divisor, Scheme

IMAGES = 32
AROUND = (0, -1, 1, -2, 2)  # offsets tried, beside the one that the largest divisor needs; of equals the first wins
GAINS = (0.5, 2.0)  # beyond what the log2 rule can cause


def search_divisors(
    model: Classifier, scheme: Scheme, images: np.ndarray, mean, std, progress: capture.Progress | None = None
) -> dict[str, tuple[Divisor, ...]]:
    """The offset and gain of every branch with the least squared error of the attention's output.

    The integer attention runs on the float network's q, k and v, encoded, of at most 32 of the (N, R, R, 3) uint8
    images. Which of the two are searched is in the scheme's settings.
    """
    layers = [layer for layer in scheme.layers if isinstance(layer, LinearAttentionLayer)]
    seen: dict[str, list] = {layer.name: [] for layer in layers}

    def keep(name):
        return lambda qkv, output: seen[name].extend(zip(qkv.double().numpy(), output.double().numpy(), strict=True))

    capture.run(
        model,
        capture.evenly(images, IMAGES),
        [(model.get_submodule(layer.output), keep(layer.name)) for layer in layers],
        batch=scheme.settings.batch,
        mean=mean,
        std=std,
        what="divisors",
        progress=progress,
    )
    return {layer.name: _search(layer, scheme, seen[layer.name]) for layer in layers}


def _search(layer: LinearAttentionLayer, scheme: Scheme, seen: list) -> tuple[Divisor, ...]:
    settings = scheme.settings
    inputs = [
        {
            name: scheme.encodings[name].quantize(part)
            for name, part in zip(layer.inputs, np.split(qkv, len(layer.inputs)), strict=True)
        }
        for qkv, _ in seen
    ]
    factors = scheme.factors.get(layer.name, np.ones(layer.channels))[:, None, None]  # an outlier counts as one channel
    expected = np.stack([output for _, output in seen]) / factors

    def outputs(choice: tuple[Divisor, ...]) -> np.ndarray:
        """(images, branches, heads, values) of the integer attention."""
        node = attention(layer, dataclasses.replace(scheme, divisors={layer.name: choice}))
        found = np.stack(
            [scheme.encodings[layer.name].decode(node.run(x)[layer.name].astype(np.int64)) for x in inputs]
        )
        found = found / factors
        return found.reshape(len(seen), len(layer.inputs), layer.heads, -1)

    expected = expected.reshape(len(seen), len(layer.inputs), layer.heads, -1)
    base = attention(layer, dataclasses.replace(scheme, divisors={})).log2_offset
    best: list[tuple[float, Divisor]] = []
    for change in AROUND if settings.divisor_search else AROUND[:1]:
        offsets = tuple(offset + change for offset in base)
        found = outputs(tuple(Divisor(offset) for offset in offsets))
        gains: list[np.ndarray | None] = [None] * len(offsets)
        if settings.divisor_gain:
            gains = list(_gains(found, expected))
            found = outputs(tuple(Divisor(o, g) for o, g in zip(offsets, gains, strict=True)))
        errors = ((found - expected) ** 2).sum(axis=(0, 2, 3))
        new = [(error, Divisor(o, g)) for error, o, g in zip(errors, offsets, gains, strict=True)]
        best = [min(pair, key=lambda item: item[0]) for pair in zip(best or new, new, strict=True)]
    return tuple(choice for _, choice in best)


def _gains(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """(branches, heads) least-squares factors from found to expected, within GAINS."""
    products, squares = (found * expected).sum(axis=(0, 3)), (found**2).sum(axis=(0, 3))
    return np.clip(np.where(squares > 0, products / np.where(squares > 0, squares, 1), 1), *GAINS)
