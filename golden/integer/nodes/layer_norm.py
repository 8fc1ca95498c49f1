"""Layer normalization over the channels of a 1 x 1 map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from triovit.golden.integer import arithmetic
from triovit.golden.integer.nodes.base import Node, Shape
from triovit.golden.integer.nodes.bound import Bound
from triovit.golden.integer.nodes.stored import StoredNode
from triovit.golden.integer.records import PostParameters, post_process

MAX_CHANNELS = 4095


@dataclass(frozen=True)
class LayerNorm(Node):
    """LayerNorm over the channels of (C, 1, 1): `arithmetic.layer_norm`, then a record per channel.

    weight: (C,), -127..127; C up to 4095. epsilon: 0 to 2**32 - 1, added to the integer variance.
    """

    name: str
    input: str
    weight: np.ndarray
    epsilon: int
    post: PostParameters

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    @property
    def kind(self) -> str:
        return "layer norm"

    def output_shapes(self, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
        channels, height, width = shapes[self.input]
        if (height, width) != (1, 1) or self.weight.shape != (channels,):
            raise self.error(f"layer norm needs a ({channels}, 1, 1) input and ({channels},) weights")
        if self.weight.dtype.kind != "i" or np.abs(self.weight.astype(np.int64)).max() > 127:
            raise self.error("weights must be integers in [-127, 127]")
        if channels > MAX_CHANNELS or not 0 <= self.epsilon < 1 << 32:
            raise self.error(f"layer norm takes at most {MAX_CHANNELS} channels and a 32-bit epsilon")
        self.post.validate(self.name, channels)
        return {self.name: (channels, 1, 1)}

    def bounds(self, shapes: Mapping[str, Shape]) -> list[Bound]:
        return [Bound.of(self.name, "layer norm", np.abs(self.weight.astype(np.int64)) << 15, self.post)]

    def run(self, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        acc = arithmetic.layer_norm(tensors[self.input].reshape(-1), self.weight, self.epsilon)
        return {self.name: post_process(acc.reshape(-1, 1, 1), self.post)}

    def records(self) -> tuple[PostParameters, ...]:
        return (self.post,)

    def store(self, file: StoredNode) -> None:
        file.put_tensor("weight", self.weight.astype(np.int8))
        file.put(input=self.input, epsilon=self.epsilon)
        file.put_records("post", self.post)

    @classmethod
    def load(cls, file: StoredNode) -> LayerNorm:
        return cls(
            name=file.name,
            input=file.text("input"),
            weight=file.tensor("weight", np.int8),
            epsilon=file.integer("epsilon"),
            post=file.records("post"),
        )
