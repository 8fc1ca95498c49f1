"""Convolutions: generic, pointwise, depthwise and grouped ones; a fully connected layer is one on a 1 x 1 map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from triovit.golden.integer.apot import ApotFormat
from triovit.golden.integer.errors import NetworkError
from triovit.golden.integer.nodes.base import Node, Shape
from triovit.golden.integer.nodes.bound import Bound
from triovit.golden.integer.nodes.stored import StoredNode
from triovit.golden.integer.records import PostParameters, post_process


@dataclass(frozen=True)
class Convolution(Node):
    """Generic, pointwise, depthwise or grouped convolution.

    weight: (Cout, Cin / groups, k, k) integers, the values of uniform and of APoT filters alike: int8, or int16 when a
    level of an APoT filter needs it. stride: 1 or 2. padding: 0 to k - 1; padding pixels take pad_value[c], the input's
    zero point of that channel. residual: name of a tensor of the output's shape that is added before the rounding.
    weight_bits: of the uniform filters, 8 for values in [-127, 127] or 4 for [-7, 7] (M2-ViT's depthwise layers).
    apot_filters: (Cout,) bool, the filters whose weights are levels of `apot`, additive powers of two (M2-ViT,
    quantization section); empty means none.
    """

    name: str
    input: str
    weight: np.ndarray
    post: PostParameters
    stride: int = 1
    padding: int = 0
    pad_value: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    groups: int = 1
    residual: str | None = None
    weight_bits: int = 8
    apot: ApotFormat | None = None
    apot_filters: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))

    WEIGHT_LIMITS = {4: 7, 8: 127}  # largest magnitude of a uniform weight by weight_bits: symmetric ranges
    FIRST_VERSION = {"weight_bits": 8, "apot": None}

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,) if self.residual is None else (self.input, self.residual)

    @property
    def kernel(self) -> int:
        return self.weight.shape[2]

    @property
    def depthwise(self) -> bool:
        return self.groups > 1 and self.weight.shape[1] == 1

    @property
    def kind(self) -> str:
        """ "depthwise", "grouped", "pointwise" (1 x 1 over all channels, fully connected included) or "convolution"."""
        if self.depthwise:
            return "depthwise"
        if self.groups > 1:
            return "grouped"
        return "pointwise" if self.kernel == 1 else "convolution"

    @property
    def label(self) -> str:
        """ "depthwise 5x5", "conv 3x3", "group" or "pointwise"."""
        if self.depthwise:
            return f"depthwise {self.kernel}x{self.kernel}"
        if self.kernel > 1:
            return f"conv {self.kernel}x{self.kernel}"
        return "group" if self.groups > 1 else "pointwise"

    def output_shapes(self, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
        channels, height, width = shapes[self.input]
        if self.weight.ndim != 4 or self.weight.shape[2] != self.weight.shape[3] or not self.weight.size:
            raise self.error(f"weight must have shape (Cout, Cin/groups, k, k), not {self.weight.shape}")
        if self.pad_value.dtype.kind != "i":
            raise self.error(f"pad_value must be integers, not {self.pad_value.dtype}")
        if self.padding < 0 or self.groups < 1:
            raise self.error(f"padding must be at least 0 and groups at least 1, not {self.padding}, {self.groups}")
        out, per_group, kernel, _ = self.weight.shape
        if per_group * self.groups != channels or out % self.groups:
            raise self.error(f"weight {self.weight.shape} with {self.groups} groups does not fit {channels} channels")
        self._check_weights()
        if self.stride not in (1, 2):
            raise self.error(f"stride must be 1 or 2, not {self.stride}")
        self._check_padding(channels)
        size = [(n + 2 * self.padding - kernel) // self.stride + 1 for n in (height, width)]
        if min(size) < 1:
            raise self.error(f"a {kernel} x {kernel} kernel does not fit a {height} x {width} map")
        shape = (out, *size)
        self.post.validate(self.name, out)
        if self.residual is not None:
            if shapes[self.residual] != shape:
                raise self.error(f"residual {self.residual} has shape {shapes[self.residual]}, not {shape}")
            if self.post.activation != "linear":
                raise self.error(f"a residual needs a linear activation, not {self.post.activation}")
        return {self.name: shape}

    def _check_weights(self) -> None:
        """Weights of uniform filters in the symmetric range of weight_bits, those of APoT filters levels of the
        format."""
        out, filters = len(self.weight), self.apot_filters
        if self.weight_bits not in self.WEIGHT_LIMITS:
            raise self.error(f"weight_bits must be 4 or 8, not {self.weight_bits}")
        if filters.dtype != bool or filters.shape not in ((0,), (out,)):
            raise self.error(f"apot_filters must be ({out},) bool or empty, not {filters.shape} {filters.dtype}")
        apot, mixed = self.apot, bool(filters.any())
        if filters.size and apot is None:
            raise self.error("apot_filters need the format apot, not None")
        if self.weight.dtype not in ((np.int8, np.int16) if mixed else (np.int8,)):
            raise self.error(f"weight must be int8, or int16 with APoT filters, not {self.weight.dtype}")
        uniform = self.weight[~filters] if mixed else self.weight
        limit = self.WEIGHT_LIMITS[self.weight_bits]
        beyond = uniform[np.abs(uniform.astype(np.int64)) > limit]
        if beyond.size:
            raise self.error(f"weights must lie in [-{limit}, {limit}] for {self.weight_bits} bits, not {beyond[0]}")
        if apot is not None and mixed:
            weights = self.weight[filters]
            between = weights[apot.nearest(weights) != weights]
            if between.size:
                raise self.error(f"weights of APoT filters must be levels of {apot}, not {between[0]}")

    def _check_padding(self, channels: int) -> None:
        if self.padding and self.pad_value.shape != (channels,):
            raise self.error(f"pad_value must have shape ({channels},), not {self.pad_value.shape}")
        if self.padding and (self.pad_value.min() < -128 or self.pad_value.max() > 127):
            raise self.error("pad_value must be int8")
        if self.padding >= self.kernel:  # no window lies in the padding alone
            raise self.error(f"padding must be less than the kernel, {self.kernel}, not {self.padding}")

    def bounds(self, shapes: Mapping[str, Shape]) -> list[Bound]:
        weights = np.abs(self.weight.astype(np.int64)).sum(axis=(1, 2, 3))
        return [Bound.of(self.name, "convolution", weights * 128, self.post, self.residual is not None)]

    def run(self, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        residual = None if self.residual is None else tensors[self.residual]
        return {self.name: post_process(self.convolve(tensors[self.input]), self.post, residual)}

    def convolve(self, x: np.ndarray) -> np.ndarray:
        """(Cout, H', W') int64 psums of (Cin, H, W) int8, bias not added. `bounds` keeps sums below 2**31."""
        if self.padding:
            p = self.padding
            padded = np.empty((x.shape[0], x.shape[1] + 2 * p, x.shape[2] + 2 * p), dtype=np.int8)
            padded[:] = self.pad_value[:, None, None]
            padded[:, p:-p, p:-p] = x
            x = padded
        k, s, groups = self.kernel, self.stride, self.groups
        windows = np.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(1, 2))[:, ::s, ::s]
        channels, height, width = windows.shape[:3]
        out = self.weight.shape[0]
        if self.depthwise and out == channels:
            acc = np.zeros((out, height, width), dtype=np.int32)
            for row in range(k):
                for col in range(k):
                    tap = self.weight[:, 0, row, col].astype(np.int32)[:, None, None]
                    acc += windows[..., row, col].astype(np.int32) * tap
            return acc.astype(np.int64)
        columns = windows.reshape(groups, channels // groups, height, width, k * k).transpose(0, 2, 3, 1, 4)
        columns = np.ascontiguousarray(columns, dtype=np.int32).reshape(groups, height * width, -1)
        weight = self.weight.astype(np.int32).reshape(groups, out // groups, -1).transpose(0, 2, 1)
        acc = np.matmul(columns, np.ascontiguousarray(weight))
        return acc.transpose(0, 2, 1).reshape(out, height, width).astype(np.int64)

    def macs(self, shapes: Mapping[str, Shape]) -> int:
        _, height, width = shapes[self.name]
        return self.weight.size * height * width

    def records(self) -> tuple[PostParameters, ...]:
        return (self.post,)

    @property
    def additive(self) -> str:
        if not self.apot_filters.any():
            return ""
        count = int(self.apot_filters.sum())
        return f"{self.name} has {count} of {len(self.weight)} filters in additive powers of two"

    def store(self, file: StoredNode) -> None:
        file.put_tensor("weight", self.weight)
        file.put_tensor("pad_value", self.pad_value.astype(np.int8))
        if self.apot_filters.size:  # as bytes 0 and 1, since a file's booleans need not be
            file.put_tensor("apot_filters", self.apot_filters.astype(np.uint8))
        file.put(input=self.input, stride=self.stride, padding=self.padding, groups=self.groups)
        file.put(residual=self.residual, weight_bits=self.weight_bits)
        file.put_apot("apot", self.apot)
        file.put_records("post", self.post)

    @classmethod
    def load(cls, file: StoredNode) -> Convolution:
        return cls(
            name=file.name,
            input=file.text("input"),
            weight=file.tensor("weight", np.int8, np.int16),
            stride=file.integer("stride"),
            padding=file.integer("padding"),
            pad_value=file.tensor("pad_value", np.int8).astype(np.int64),
            groups=file.integer("groups"),
            residual=None if file.values["residual"] is None else file.text("residual"),
            weight_bits=file.integer("weight_bits"),
            apot=file.apot("apot"),
            apot_filters=_filters(file),
            post=file.records("post"),
        )


def _filters(file: StoredNode) -> np.ndarray:
    if not file.has_tensor("apot_filters"):
        return np.zeros(0, dtype=bool)
    flags = file.tensor("apot_filters", np.uint8)
    if np.any(flags > 1):
        raise NetworkError(f"{file.name}.apot_filters must hold 0 and 1, not {flags.max()}")
    return flags.astype(bool)
