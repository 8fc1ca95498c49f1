"""Random integer networks for tests: legal, with requantization that keeps activations in range."""

from __future__ import annotations

import numpy as np

from triovit.golden.integer.arithmetic import dyadic
from triovit.golden.integer.network import INPUT, IntegerNetwork
from triovit.golden.integer.nodes import Attention, Convolution, LayerNorm, Pool
from triovit.golden.integer.records import PostParameters
from triovit.golden.network.efficientvit.presets import EXPANSION, find_preset

SPREAD = 40  # standard deviation that activations are meant to have
WEIGHT_SPREAD = 73  # of uniform weights in [-127, 127]


class NetworkBuilder:
    """Collects nodes; `x` is the name of the last tensor. Shapes are followed along."""

    def __init__(self, name: str, input_shape: tuple[int, int, int], seed: int):
        self.name, self.input_shape = name, input_shape
        self.rng = np.random.default_rng(seed)
        self.nodes: list = []
        self.shapes: dict[str, tuple[int, int, int]] = {INPUT: input_shape}
        self.pads: dict[str, np.ndarray] = {}
        self.x = INPUT

    def build(self) -> IntegerNetwork:
        return IntegerNetwork(self.name, self.input_shape, tuple(self.nodes)).validate()

    def _add(self, node, shape) -> str:
        self.nodes.append(node)
        self.shapes[node.name] = shape
        self.x = node.name
        return node.name

    def _records(self, channels: int, spread: float, activation: str, residual: bool) -> PostParameters:
        """Records that bring accumulators of a given standard deviation to activations of SPREAD."""
        rng = self.rng
        spread = max(int(spread), 1)
        jitter = rng.integers(700, 1400, channels)
        zero_point = rng.integers(-30, 31, channels)
        values = {"bias": rng.integers(-spread, spread + 1, channels)}
        if activation == "hardswish":
            f = int(rng.integers(8, 13))
            pairs = [dyadic(int(j) << (f + 1), 1000 * spread) for j in jitter]
            seconds = [dyadic(SPREAD, 8 << (2 * f))] * channels
            values |= {"m2": [m for m, _ in seconds], "n2": [n for _, n in seconds], "fraction_bits": f}
        else:
            target = SPREAD if activation == "linear" else 4000
            pairs = [dyadic(target * int(j), 1000 * spread) for j in jitter]
        if residual:
            shifts = np.array([max(n - 8, 0) for _, n in pairs])
            values |= {
                "residual_multiplier": [(1 << n) * 3 // 4 >> s for (_, n), s in zip(pairs, shifts, strict=True)],
                "residual_shift": shifts,
            }
            pairs = [(m // 2, n) for m, n in pairs]
        values |= {"m1": [m for m, _ in pairs], "n1": [n for _, n in pairs], "zero_point": zero_point}
        return PostParameters.create(channels, activation=activation, **values)

    def conv(
        self,
        name: str,
        channels: int,
        kernel: int = 1,
        *,
        source: str | None = None,
        stride: int = 1,
        groups: int = 1,
        activation: str = "linear",
        residual: str | None = None,
        padding: int | None = None,
    ) -> str:
        """Convolution of `source` (default: the last tensor); all readers of a tensor pad it with the same values."""
        rng = self.rng
        source = source or self.x
        inputs, height, width = self.shapes[source]
        padding = kernel // 2 if padding is None else padding
        weight = rng.integers(-127, 128, (channels, inputs // groups, kernel, kernel)).astype(np.int8)
        if padding and source not in self.pads:
            self.pads[source] = rng.integers(-40, 41, inputs)
        size = [(n + 2 * padding - kernel) // stride + 1 for n in (height, width)]
        spread = WEIGHT_SPREAD * SPREAD * np.sqrt(inputs // groups * kernel * kernel)
        node = Convolution(
            name,
            source,
            weight,
            self._records(channels, spread, activation, residual is not None),
            stride=stride,
            padding=padding,
            pad_value=self.pads[source] if padding else np.zeros(0, dtype=np.int64),
            groups=groups,
            residual=residual,
        )
        return self._add(node, (channels, *size))

    def mbconv(
        self,
        name: str,
        channels: int,
        *,
        stride: int = 1,
        kernel: int = 3,
        expansion: int = EXPANSION,
        shortcut: bool = True,
    ):
        """Expand, depthwise, project; with a residual when shapes allow."""
        source = self.x
        middle = self.shapes[source][0] * expansion
        self.conv(f"{name}.expand", middle, activation="hardswish")
        self.conv(f"{name}.depthwise", middle, kernel, stride=stride, groups=middle, activation="hardswish")
        residual = source if shortcut and stride == 1 and channels == self.shapes[source][0] else None
        self.conv(f"{name}.project", channels, residual=residual)

    def dsconv(self, name: str):
        """Depthwise and pointwise with a residual."""
        source, channels = self.x, self.shapes[self.x][0]
        self.conv(f"{name}.depthwise", channels, 3, groups=channels, activation="hardswish")
        self.conv(f"{name}.point", channels, residual=source)

    def attention(self, name: str, dim: int):
        """Lightweight multi-scale attention with a residual: qkv, a 5 x 5 branch, ReLU linear attention, projection."""
        source = self.x
        channels, height, width = self.shapes[source]
        heads = channels // dim
        qkv = self.conv(f"{name}.qkv", 3 * channels)
        self.conv(f"{name}.aggregate", 3 * channels, 5, groups=3 * channels)
        branch = self.conv(f"{name}.group", 3 * channels, groups=3 * heads)
        tokens = height * width
        rng = self.rng

        def records(numerator: int, denominator: int) -> tuple[PostParameters, ...]:
            pairs = [
                [dyadic(numerator * int(j), denominator * 1000) for j in rng.integers(700, 1400, heads)]
                for _ in range(2)
            ]
            return tuple(
                PostParameters.create(
                    heads,
                    bias=rng.integers(-50, 51, heads),
                    m1=[m for m, _ in p],
                    n1=[n for _, n in p],
                    zero_point=rng.integers(-5, 6, heads),
                )
                for p in pairs
            )

        node = Attention(
            f"{name}.attention",
            (qkv, branch),
            heads,
            dim,
            product=records(40, 700 * tokens),
            key_sum=records(50, 18 * tokens),
            divide=records(2, 5),
            log2_offset=(-7, -6),
        )
        self._add(node, (2 * channels, height, width))
        self.conv(f"{name}.project", channels, residual=source)

    def head(self, widths: tuple[int, int], classes: int):
        """Pointwise, pool, fully connected, layer norm with hardswish, fully connected to 16-bit logits."""
        rng = self.rng
        self.conv("head.conv", widths[0], activation="hardswish")
        _, height, width = self.shapes[self.x]
        m, n = dyadic(1, height * width)
        self._add(
            Pool("head.pool", self.x, PostParameters.create(widths[0], m1=m, n1=n, zero_point=0)), (widths[0], 1, 1)
        )
        self.conv("head.hidden", widths[1])
        weight = rng.integers(20, 128, widths[1]).astype(np.int8)
        # The normalised value has 9 fraction bits, the weight stands for about 1/73.
        self._add(
            LayerNorm("head.norm", self.x, weight, 1000, self._records(widths[1], 73 << 9, "hardswish", False)),
            (widths[1], 1, 1),
        )
        self.conv("head.logits", classes, activation="wide")


def efficientvit_like(preset: str, resolution: int, seed: int, classes: int = 1000) -> IntegerNetwork:
    """A network with exactly EfficientViT's shapes (papers: ICCV 2023, Table 1) and random parameters."""
    sizes = find_preset(preset)
    b = NetworkBuilder(f"{preset}-r{resolution}", (3, resolution, resolution), seed)
    b.conv("stem.conv", sizes.widths[0], 3, stride=2, activation="hardswish")
    for i in range(sizes.depths[0]):
        b.dsconv(f"stem.{i}")
    for stage in range(1, 5):
        width, depth = sizes.widths[stage], sizes.depths[stage]
        b.mbconv(f"stage{stage}.0", width, stride=2)
        if stage < 3:
            for i in range(1, depth):
                b.mbconv(f"stage{stage}.{i}", width)
        else:
            for i in range(1, depth + 1):
                b.attention(f"stage{stage}.{i}", sizes.head_dim)
                b.mbconv(f"stage{stage}.{i}.local", width)
    b.head(sizes.head_widths, classes)
    return b.build()


def small_network(
    seed: int, *, size: int = 28, width: int = 8, dim: int = 8, kernel: int = 3, classes: int = 10
) -> IntegerNetwork:
    """Every kind of layer once or twice on small maps; the arguments make sizes and numbers of blocks odd."""
    b = NetworkBuilder(f"small-{seed}", (3, size, size), seed)
    b.conv("stem", width, 3, stride=2, activation="hardswish")
    b.dsconv("ds")
    b.mbconv("mb1", width + 4, stride=2, kernel=kernel, expansion=3)
    b.mbconv("mb2", width + 4, kernel=kernel, expansion=2)
    b.conv("widen", 2 * dim)
    b.attention("att", dim)
    b.mbconv("mb3", 2 * dim)
    b.head((3 * width, 2 * width + 4), classes)
    return b.build()


def random_image(network: IntegerNetwork, seed: int) -> np.ndarray:
    """An image of the network's input shape."""
    return np.random.default_rng(seed).integers(-128, 128, network.input_shape, dtype=np.int8)


def unusual_network(seed: int, size: int = 13) -> IntegerNetwork:
    """Shapes that EfficientViT does not have: two paddings of one tensor, dense and strided kernels, groups that are
    narrower or wider than a pair of blocks, a channel multiplier, a residual behind a depthwise layer, odd maps."""
    b = NetworkBuilder(f"unusual-{seed}", (3, size, size), seed)
    first = b.conv("dense5", 20, 5, activation="hardswish")
    b.conv("depthwise3", 20, 3, source=first, groups=20)
    b.conv("depthwise5", 20, 5, source=first, groups=20, residual="depthwise3")
    b.conv("dense3", 12, 3, stride=2, residual=None)
    b.conv("narrow_groups", 24, 3, groups=6)
    b.conv("multiplier", 48, 3, groups=24, activation="hardswish")
    b.conv("wide_groups", 64, 1, groups=2)
    b.conv("odd_groups", 48, 1, groups=2)
    b.conv("strided", 33, 1, stride=2)
    b.conv("unpadded", 9, 3, padding=0)
    b.head((17, 21), 5)
    return b.build()
