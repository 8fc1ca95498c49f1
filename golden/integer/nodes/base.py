"""The contract of a node: what a network, the executors and the files ask of every kind of layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np

from triovit.golden.integer.errors import NetworkError
from triovit.golden.integer.nodes.bound import Bound
from triovit.golden.integer.nodes.stored import StoredNode
from triovit.golden.integer.records import PostParameters

Shape = tuple[int, ...]


class Node(ABC):
    """One layer of an integer network. A kind of node is a frozen dataclass in a file of its own, listed in NODES.

    name: of the node and of the tensor that it computes, (C, H, W). inputs: names of the tensors that it reads, int8
    feature maps (C, H, W) computed before it, one at least; the network checks both.

    A node may compute more tensors, called NAME.SOMETHING, which no other node reads.
    """

    name: str
    inputs: tuple[str, ...]

    FIRST_VERSION: ClassVar[Mapping] = {}  # JSON values that nodes in files of version 1 do not have, as they were then

    @property
    @abstractmethod
    def kind(self) -> str:
        """What reports call nodes like this, in a word or two: "depthwise", "attention", ..."""

    @property
    def label(self) -> str:
        """`kind` with what tells its sizes apart: "depthwise 5x5"."""
        return self.kind

    @abstractmethod
    def output_shapes(self, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
        """Shapes of the tensors that the node computes, by name, its own last. shapes: of the tensors before it.

        Raises NetworkError with the node, the rule and the value when the node breaks a rule of the arithmetic
        contract. Whether its accumulators can overflow is the question of `bounds`.
        """

    @abstractmethod
    def bounds(self, shapes: Mapping[str, Shape]) -> list[Bound]:
        """One bound for each of its accumulations, for any int8 input. shapes: of the tensors before it."""

    @abstractmethod
    def run(self, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The tensors of `output_shapes`, in that order: int8, or int16 where they are `wide`. tensors: before it."""

    def macs(self, shapes: Mapping[str, Shape]) -> int:
        """Multiply-accumulates of one image; see `IntegerNetwork.macs`. shapes: of all tensors, its own included."""
        return 0

    @abstractmethod
    def records(self) -> tuple[PostParameters, ...]:
        """All records of its post-processing."""

    @property
    def wide(self) -> tuple[str, ...]:
        """Names of its tensors that are int16; no node can read those."""
        return (self.name,) if any(post.activation == "wide" for post in self.records()) else ()

    @property
    def additive(self) -> str:
        """What it has in additive powers of two, in words; "" for nothing."""
        return ""

    @property
    def ablation(self) -> str:
        """Why no hardware runs it, in words, and what would run instead; "" when hardware does."""
        return ""

    @abstractmethod
    def store(self, file: StoredNode) -> None:
        """Put everything but the name into a file."""

    @classmethod
    @abstractmethod
    def load(cls, file: StoredNode) -> Self:
        """The node that `store` put into a file. Raises NetworkError, KeyError or TypeError for anything else."""

    def error(self, text: str) -> NetworkError:
        """An error that names the node."""
        return NetworkError(f"{self.name}: {text}")
