"""What the tensors of an integer network hold for some images: ranges of codes, saturation, divisors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import nn

from triovit.golden.batch.executor import BatchExecutor
from triovit.golden.integer import arithmetic
from triovit.golden.integer.network import IntegerNetwork
from triovit.golden.integer.nodes import Attention
from triovit.golden.network.graph import Layer
from triovit.golden.quantization.calibration.capture import Progress, run
from triovit.golden.quantization.calibration.observers import MinMaxObserver, Range

BATCH = 8  # images at once: all of their tensors are held
BINS_AN_OCTAVE = 4
OCTAVES = arithmetic.ACCUMULATOR_BITS  # divisors are int32


@dataclass
class TensorCodes:
    """Integers of one tensor over all images. low, high: (C,) of each channel. lowest, highest: how many of `size`
    integers are the smallest and the largest number of their type."""

    low: np.ndarray
    high: np.ndarray
    lowest: int = 0
    highest: int = 0
    size: int = 0

    def add(self, q: np.ndarray) -> None:
        """q: (N, C, ...) int8 or int16."""
        ends, channels = np.iinfo(q.dtype), q.reshape(*q.shape[:2], -1)
        self.low = np.minimum(self.low, channels.min(axis=(0, 2)))
        self.high = np.maximum(self.high, channels.max(axis=(0, 2)))
        self.lowest += int((q == ends.min).sum())
        self.highest += int((q == ends.max).sum())
        self.size += q.size


@dataclass
class BranchDivisors:
    """Integer divisors of one branch of an attention and their codes. offset: of the log2 codes, None for uniform ones.

    histogram: of log2 of the positive divisors, BINS_AN_OCTAVE bins per octave from 1 on. zeros: divisors that are 0.
    clipped: divisors, not 0, whose code would lie beyond the codes. codes: how often each code occurs (16, or 256
    uniform ones). smallest (not 0), largest: divisors. squared_error: sum of (D / used - 1)**2 over the positive
    divisors D, `used` being the power of two (or, scaled, the 8-bit number) that divides instead.
    """

    attention: str
    branch: int
    offset: int | None
    histogram: np.ndarray = field(default_factory=lambda: np.zeros(OCTAVES * BINS_AN_OCTAVE, dtype=np.int64))
    codes: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    zeros: int = 0
    clipped: int = 0
    smallest: int = 0
    largest: int = 0
    squared_error: float = 0.0

    @property
    def size(self) -> int:
        return self.zeros + int(self.histogram.sum())

    @property
    def error(self) -> float:
        """Root mean square of D / used - 1: what the divisor's code alone costs a quotient."""
        return float(np.sqrt(self.squared_error / max(self.size - self.zeros, 1)))

    def add(self, divisors: np.ndarray, codes: np.ndarray, ratio: np.ndarray | None) -> None:
        """(N, heads, tokens) divisors and codes. ratio: (heads, 1) of uniform codes to divisors, None for log2."""
        positive = divisors > 0
        found = divisors[positive].astype(np.float64)
        self.zeros += int(divisors.size - len(found))
        if ratio is not None:
            used, count = np.maximum(codes, 1) / ratio, arithmetic.MAX_UNIFORM_DIVISOR + 1
            ideal = np.floor(divisors * ratio + 0.5)
        elif self.offset is not None:
            used, count = 2.0 ** (codes - float(self.offset)), arithmetic.MAX_DIVISOR_CODE + 1
            ideal = arithmetic.log2_round(divisors) + self.offset
        else:
            raise ValueError(f"{self.attention}, branch {self.branch}: must have an offset or a ratio of its codes")
        self.clipped += int((((ideal < 0) | (ideal >= count)) & positive).sum())
        self.codes = np.bincount(codes.reshape(-1), minlength=count) + (self.codes if self.codes.size else 0)
        if len(found):
            bins = np.floor(np.log2(found) * BINS_AN_OCTAVE).astype(np.int64)
            self.histogram += np.bincount(bins, minlength=len(self.histogram))
            least, most = int(found.min()), int(found.max())
            self.smallest = min(self.smallest or least, least)
            self.largest = max(self.largest, most)
            self.squared_error += float(((found / used[positive] - 1) ** 2).sum())


@dataclass(frozen=True)
class Activations:
    """Over `images` images. codes: of the input and every feature map, K^T V and row sum, in execution order.

    divisors: of every branch of every attention.
    """

    images: int
    codes: dict[str, TensorCodes]
    divisors: list[BranchDivisors]


def observe(network: IntegerNetwork, pixels: np.ndarray, progress: Progress | None = None) -> Activations:
    """Run (N, R, R, 3) uint8 images through the integer network and look at every tensor."""
    executor, shapes = BatchExecutor(network), network.shapes()
    attentions = [node for node in network.nodes if isinstance(node, Attention)]
    inside = {f"{node.name}.code{branch}" for node in attentions for branch in range(len(node.inputs))}
    codes = {
        name: TensorCodes(np.full(shape[0], 32767), np.full(shape[0], -32768))
        for name, shape in shapes.items()
        if name not in inside
    }
    divisors = {
        (node.name, branch): BranchDivisors(node.name, branch, node.log2_offset[branch] if node.log2_offset else None)
        for node in attentions
        for branch in range(len(node.inputs))
    }
    for start in range(0, len(pixels), BATCH):
        tensors = executor.tensors(pixels[start : start + BATCH])
        for name, found in codes.items():
            found.add(tensors[name])
        for node in attentions:
            for branch in range(len(node.inputs)):
                divisors[node.name, branch].add(*_divisors(node, branch, tensors))
        if progress:
            progress("integer network", min(start + BATCH, len(pixels)), len(pixels))
    return Activations(len(pixels), codes, list(divisors.values()))


def float_ranges(
    model: nn.Module,
    layers: Sequence[Layer],
    names: list[str],
    pixels: np.ndarray,
    mean,
    std,
    progress: Progress | None = None,
) -> dict[str, Range]:
    """Range of each channel of some of the float network's tensors. layers: of the network, names: some of theirs."""
    observers = {name: MinMaxObserver(name, 1) for name in names}
    visits = [
        (model.get_submodule(layer.output), lambda _input, output, to=observers[layer.name]: to.observe(output))
        for layer in layers
        if layer.name in observers
    ]
    run(model, pixels, visits, batch=BATCH, mean=mean, std=std, what="float network", progress=progress)
    return {name: observer.range() for name, observer in observers.items()}


def _divisors(
    node: Attention, branch: int, tensors: dict[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """(N, heads, tokens) divisors and codes of one branch, and the ratio of uniform codes to divisors."""
    x, sums = tensors[node.inputs[branch]], tensors[f"{node.name}.sum{branch}"]
    q = np.maximum(x.reshape(len(x), node.heads, 3, node.dim, -1)[:, :, 0], 0)
    divisors = np.einsum("nhkt,nhk->nht", q.astype(np.int64), sums.astype(np.int64))
    ratio = None
    if node.divisor == "uniform":
        record = node.divisor_scale[branch]
        ratio = (record.m1 / 2.0**record.n1)[:, None]
    return divisors, tensors[f"{node.name}.code{branch}"].astype(np.int64), ratio
