"""The quantized network as data: nodes with integer parameters, in execution order.

Every node writes one tensor that carries its name; tensors are int8 arrays (C, H, W), except the logits of a
`wide` node (int16) and the attention intermediates (see `Attention`). What a node is and which rules it keeps is in
`nodes/`, execution in `execute.py`, files in `serialize.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from triovit.golden.integer.errors import NetworkError
from triovit.golden.integer.nodes.base import Node, Shape
from triovit.golden.integer.nodes.bound import Bound

INPUT = "input"  # name of the network's input tensor: raw pixels minus 128, (3, H, W) int8


@dataclass(frozen=True)
class IntegerNetwork:
    """A quantized network. input_shape: (C, H, W) of the pixels. The last node's tensor holds the logits.

    classes: class names, one for each output, or none. metadata: free JSON values (method, calibration hash, ...).
    """

    name: str
    input_shape: tuple[int, ...]
    nodes: tuple[Node, ...]
    classes: tuple[str, ...] = ()
    metadata: dict = field(default_factory=dict)

    @property
    def output(self) -> str:
        return self.nodes[-1].name

    def node(self, name: str) -> Node:
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(f"no node {name!r} in network {self.name}")

    def shapes(self) -> dict[str, Shape]:
        """Shape of every tensor in execution order, intermediates before their node's output.

        Raises NetworkError when a node breaks one of its rules, or reads what it cannot.
        """
        if len(self.input_shape) != 3 or any(n < 1 for n in self.input_shape):
            raise NetworkError(f"network {self.name}: input_shape must be three positive sizes, not {self.input_shape}")
        shapes: dict[str, Shape] = {INPUT: tuple(self.input_shape)}
        maps = {INPUT}  # the tensors that a node may read: int8 feature maps
        for node in self.nodes:
            if not node.inputs:
                raise NetworkError(f"{node.name}: needs at least one input")
            for name in node.inputs:
                if name not in shapes:
                    raise NetworkError(f"{node.name}: input {name} is not computed before it")
                if name not in maps:
                    raise NetworkError(
                        f"{node.name}: input {name} is no int8 feature map (wide logits, or inside an attention)"
                    )
            for name, shape in node.output_shapes(shapes).items():
                if name in shapes:
                    raise NetworkError(f"tensor name {name} is used twice")
                shapes[name] = shape
            if node.name not in node.wide and len(shapes[node.name]) == 3:
                maps.add(node.name)
        return shapes

    def bounds(self) -> list[Bound]:
        """One bound for each accumulation, in execution order. Raises NetworkError as `shapes` does."""
        shapes = self.shapes()
        return [bound for node in self.nodes for bound in node.bounds(shapes)]

    def macs(self) -> dict[str, int]:
        """Multiply-accumulates of one image by node: the one count that every report and utilization is made of.

        Counted are the products that a layer needs, not what hardware does beside them (padded channels, idle
        multipliers). Convolutions: every weight at every output pixel, padding included. Attention: both products
        K^T V and Q (K^T V) with the column of ones (EfficientViT's own count), so the divisor Q . sum, a product in
        hardware too, and the sum of K, which hardware adds without multipliers. Not counted: pooling, layer
        normalization, bias, requantization, activation and residual.
        """
        shapes = self.shapes()
        return {node.name: node.macs(shapes) for node in self.nodes}

    def validate(self) -> IntegerNetwork:
        """Return self; raises NetworkError on any broken rule, accumulator overflow included."""
        if not self.nodes:
            raise NetworkError(f"network {self.name} has no nodes")
        outputs = self.shapes()[self.output][0]
        if self.classes and len(self.classes) != outputs:
            raise NetworkError(f"network {self.name}: classes must name all {outputs} outputs, not {len(self.classes)}")
        for bound in self.bounds():
            bound.check()
        return self

    def with_metadata(self, **values) -> IntegerNetwork:
        return replace(self, metadata={**self.metadata, **values})
