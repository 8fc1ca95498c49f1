"""Global average pooling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from triovit.golden.integer.nodes.base import Node, Shape
from triovit.golden.integer.nodes.bound import Bound
from triovit.golden.integer.nodes.stored import StoredNode
from triovit.golden.integer.records import PostParameters, post_process


@dataclass(frozen=True)
class Pool(Node):
    """Global average pool, (C, H, W) -> (C, 1, 1): the sum over all pixels, then a record per channel
    (1 / pixels is in m1, n1)."""

    name: str
    input: str
    post: PostParameters

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)

    @property
    def kind(self) -> str:
        return "pool"

    def output_shapes(self, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
        channels = shapes[self.input][0]
        self.post.validate(self.name, channels)
        return {self.name: (channels, 1, 1)}

    def bounds(self, shapes: Mapping[str, Shape]) -> list[Bound]:
        _, height, width = shapes[self.input]
        return [Bound.of(self.name, "pool", 128 * height * width, self.post)]

    def run(self, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        total = tensors[self.input].astype(np.int64).sum(axis=(1, 2), keepdims=True)
        return {self.name: post_process(total, self.post)}

    def records(self) -> tuple[PostParameters, ...]:
        return (self.post,)

    def store(self, file: StoredNode) -> None:
        file.put(input=self.input)
        file.put_records("post", self.post)

    @classmethod
    def load(cls, file: StoredNode) -> Pool:
        return cls(name=file.name, input=file.text("input"), post=file.records("post"))
