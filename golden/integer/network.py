"""The quantized network as data: nodes with integer parameters, in execution order.

Every node writes one tensor that carries its name; tensors are int8 arrays (C, H, W), except the logits of a
`wide` node (int16) and the attention intermediates (see `Attention`). Execution is in `execute.py`,
files in `serialize.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

import numpy as np

from golden.integer.arithmetic import ACCUMULATOR_BITS, MAX_SHIFT, MULTIPLIER_BITS, signed_range

INPUT = "input"  # name of the network's input tensor: raw pixels minus 128, (3, H, W) int8


class NetworkError(ValueError):
    """A network that breaks the arithmetic contract; names the node, the rule and the value."""


@dataclass(frozen=True)
class PostParameters:
    """Post-processing records, one a channel (arrays of equal length), and the activation they belong to.

    bias: int32. m1, m2, residual_multiplier: 0..65535. n1, n2, residual_shift: 0..47. zero_point: int8.
    activation: "linear" (m1, n1, zero_point and, with a residual operand, residual_*), "hardswish"
    (m1, n1 to 16-bit fixed point with `fraction_bits`, then m2, n2, zero_point) or "wide" (m1, n1 to 16 bits).
    """

    bias: np.ndarray
    m1: np.ndarray
    n1: np.ndarray
    zero_point: np.ndarray
    m2: np.ndarray
    n2: np.ndarray
    residual_multiplier: np.ndarray
    residual_shift: np.ndarray
    activation: str = "linear"
    fraction_bits: int = 0

    ARRAYS = ("bias", "m1", "n1", "zero_point", "m2", "n2", "residual_multiplier", "residual_shift")
    ACTIVATIONS = ("linear", "hardswish", "wide")
    RANGES = {
        "bias": signed_range(ACCUMULATOR_BITS), "zero_point": (-128, 127),
        "m1": (0, (1 << MULTIPLIER_BITS) - 1), "m2": (0, (1 << MULTIPLIER_BITS) - 1),
        "residual_multiplier": (0, (1 << MULTIPLIER_BITS) - 1),
        "n1": (0, MAX_SHIFT), "n2": (0, MAX_SHIFT), "residual_shift": (0, MAX_SHIFT),
    }

    @staticmethod
    def create(channels: int, **values) -> PostParameters:
        """Records for `channels` channels; arrays or scalars by name, the others zero."""
        arrays = {
            name: np.broadcast_to(np.asarray(values.pop(name, 0), dtype=np.int64), (channels,)).copy()
            for name in PostParameters.ARRAYS
        }
        return PostParameters(**arrays, **values)

    @property
    def channels(self) -> int:
        return len(self.bias)

    def validate(self, node: str, channels: int):
        if self.activation not in self.ACTIVATIONS:
            legal = ", ".join(self.ACTIVATIONS)
            raise NetworkError(f"{node}: activation must be one of {legal}, not {self.activation!r}")
        if not 0 <= self.fraction_bits <= 13:
            raise NetworkError(f"{node}: fraction_bits must be 0..13, not {self.fraction_bits}")
        for name in self.ARRAYS:
            value, (low, high) = getattr(self, name), self.RANGES[name]
            if value.dtype.kind != "i":
                raise NetworkError(f"{node}: {name} must be integers, not {value.dtype}")
            if value.shape != (channels,):
                raise NetworkError(f"{node}: {name} must have shape ({channels},), not {value.shape}")
            if value.min() < low or value.max() > high:
                raise NetworkError(f"{node}: {name} must lie in [{low}, {high}], not [{value.min()}, {value.max()}]")


@dataclass(frozen=True)
class Convolution:
    """Generic, pointwise, depthwise or grouped convolution; a fully connected layer is one on a 1 x 1 map.

    weight: (Cout, Cin / groups, k, k) int8 in [-127, 127]. padding pixels take pad_value[c] (the input's zero
    point, a channel). residual: name of a tensor of the output's shape that is added before the rounding.
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

    @property
    def kernel(self) -> int:
        return self.weight.shape[2]

    @property
    def depthwise(self) -> bool:
        return self.groups > 1 and self.weight.shape[1] == 1

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,) if self.residual is None else (self.input, self.residual)


@dataclass(frozen=True)
class Attention:
    """ReLU linear attention over several branches (multi-scale), head by head; contract 3.9.

    inputs: one tensor (heads * 3 * dim, H, W) a branch; per head q, k, v are consecutive blocks of `dim` channels.
    The output is (branches * heads * dim, H, W), branch after branch. Per branch and head h:
      kv[v, k]  = requantize(sum over tokens of relu(k) v), record h of `product`
      sums[k]   = requantize(sum over tokens of relu(k)), record h of `key_sum`
      code[t]   = divisor_code(relu(q)[t] . sums, log2_offset)
      out[v, t] = shift_divide(relu(q)[t] . kv[v], record h of `divide`, code[t])
    The first three are tensors too: NAME.kv{branch} (heads, dim, dim), NAME.sum{branch} (heads, dim) and
    NAME.code{branch} (heads, tokens).
    """

    name: str
    inputs: tuple[str, ...]
    heads: int
    dim: int
    product: tuple[PostParameters, ...]
    key_sum: tuple[PostParameters, ...]
    divide: tuple[PostParameters, ...]
    log2_offset: tuple[int, ...]

    def intermediates(self, tokens: int) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the intermediate tensors."""
        shapes = {}
        for branch in range(len(self.inputs)):
            shapes[f"{self.name}.kv{branch}"] = (self.heads, self.dim, self.dim)
            shapes[f"{self.name}.sum{branch}"] = (self.heads, self.dim)
            shapes[f"{self.name}.code{branch}"] = (self.heads, tokens)
        return shapes


@dataclass(frozen=True)
class Pool:
    """Global average pool: the sum over all pixels, then a record a channel (1 / pixels is in m1, n1)."""

    name: str
    input: str
    post: PostParameters

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)


@dataclass(frozen=True)
class LayerNorm:
    """LayerNorm over the channels of a 1 x 1 map: arithmetic.layer_norm, then a record a channel. weight: (C,) int8."""

    name: str
    input: str
    weight: np.ndarray
    epsilon: int
    post: PostParameters

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.input,)


Node = Convolution | Attention | Pool | LayerNorm


@dataclass(frozen=True)
class IntegerNetwork:
    """A quantized network. input_shape: (C, H, W) of the pixels. The last node's tensor holds the logits.

    classes: class names. metadata: free JSON values (method, calibration hash, float accuracy, ...).
    """

    name: str
    input_shape: tuple[int, int, int]
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

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every tensor in execution order, intermediates before their node's output; validates as it goes."""
        if len(self.input_shape) != 3 or any(n < 1 for n in self.input_shape):
            raise NetworkError(f"network {self.name}: input_shape must be three positive sizes, not {self.input_shape}")
        shapes: dict[str, tuple[int, ...]] = {INPUT: tuple(self.input_shape)}
        maps = {INPUT}  # the tensors that a node may read: int8 feature maps
        for node in self.nodes:
            if not node.inputs:
                raise NetworkError(f"{node.name}: needs at least one input")
            for name in node.inputs:
                if name not in shapes:
                    raise NetworkError(f"{node.name}: input {name} is not computed before it")
                if name not in maps:
                    raise NetworkError(f"{node.name}: input {name} is no int8 feature map "
                                       "(wide logits, or inside an attention)")
            for name, shape in _output_shapes(node, shapes).items():
                if name in shapes:
                    raise NetworkError(f"tensor name {name} is used twice")
                shapes[name] = shape
            if isinstance(node, Attention) or node.post.activation != "wide":
                maps.add(node.name)
        return shapes

    def validate(self) -> IntegerNetwork:
        """Return self; raises NetworkError on any broken rule, accumulator overflow included."""
        from golden.integer.bounds import check_bounds

        if not self.nodes:
            raise NetworkError(f"network {self.name} has no nodes")
        self.shapes()
        check_bounds(self)
        return self

    def with_metadata(self, **values) -> IntegerNetwork:
        return replace(self, metadata={**self.metadata, **values})


def _output_shapes(node: Node, shapes: dict) -> dict[str, tuple[int, ...]]:
    source = shapes[node.inputs[0]]
    if len(source) != 3:
        raise NetworkError(f"{node.name}: input {node.inputs[0]} must have shape (C, H, W), not {source}")
    channels, height, width = source
    match node:
        case Convolution():
            if node.weight.ndim != 4 or node.weight.shape[2] != node.weight.shape[3]:
                raise NetworkError(f"{node.name}: weight must have shape (Cout, Cin/groups, k, k), "
                                   f"not {node.weight.shape}")
            if node.weight.dtype.kind != "i" or node.pad_value.dtype.kind != "i":
                raise NetworkError(f"{node.name}: weight and pad_value must be integers, "
                                   f"not {node.weight.dtype}, {node.pad_value.dtype}")
            if node.padding < 0 or node.groups < 1:
                raise NetworkError(f"{node.name}: padding must be at least 0 and groups at least 1, "
                                   f"not {node.padding}, {node.groups}")
            out, per_group, kernel, _ = node.weight.shape
            if per_group * node.groups != channels or out % node.groups:
                raise NetworkError(f"{node.name}: weight {node.weight.shape} with {node.groups} groups "
                                   f"does not fit {channels} channels")
            if np.abs(node.weight.astype(np.int64)).max() > 127:
                raise NetworkError(f"{node.name}: weights must lie in [-127, 127]")
            if node.stride not in (1, 2):
                raise NetworkError(f"{node.name}: stride must be 1 or 2, not {node.stride}")
            if node.padding and node.pad_value.shape != (channels,):
                raise NetworkError(f"{node.name}: pad_value must have shape ({channels},), not {node.pad_value.shape}")
            if node.padding and (node.pad_value.min() < -128 or node.pad_value.max() > 127):
                raise NetworkError(f"{node.name}: pad_value must be int8")
            size = [(n + 2 * node.padding - kernel) // node.stride + 1 for n in (height, width)]
            if min(size) < 1:
                raise NetworkError(f"{node.name}: a {kernel} x {kernel} kernel does not fit a {height} x {width} map")
            shape = (out, *size)
            node.post.validate(node.name, out)
            if node.residual is not None:
                if shapes[node.residual] != shape:
                    raise NetworkError(f"{node.name}: residual {node.residual} has shape "
                                       f"{shapes[node.residual]}, not {shape}")
                if node.post.activation != "linear":
                    raise NetworkError(f"{node.name}: a residual needs a linear activation, not {node.post.activation}")
            return {node.name: shape}
        case Attention():
            for name in node.inputs:
                if shapes[name] != (3 * node.heads * node.dim, height, width):
                    raise NetworkError(f"{node.name}: input {name} must have {3 * node.heads * node.dim} channels, "
                                       f"not {shapes[name]}")
            for group in (node.product, node.key_sum, node.divide):
                if len(group) != len(node.inputs):
                    raise NetworkError(f"{node.name}: {len(node.inputs)} branches need as many records, "
                                       f"not {len(group)}")
                for post in group:
                    post.validate(node.name, node.heads)
                    if post.activation != "linear":
                        raise NetworkError(f"{node.name}: attention records must be linear, not {post.activation}")
            if len(node.log2_offset) != len(node.inputs) or any(not -32 <= o <= 31 for o in node.log2_offset):
                raise NetworkError(f"{node.name}: log2_offset must be one of -32..31 a branch, not {node.log2_offset}")
            return {
                **node.intermediates(height * width),
                node.name: (len(node.inputs) * node.heads * node.dim, height, width),
            }
        case Pool():
            node.post.validate(node.name, channels)
            return {node.name: (channels, 1, 1)}
        case LayerNorm():
            if (height, width) != (1, 1) or node.weight.shape != (channels,):
                raise NetworkError(f"{node.name}: layer norm needs a ({channels}, 1, 1) input "
                                   f"and ({channels},) weights")
            if node.weight.dtype.kind != "i" or np.abs(node.weight.astype(np.int64)).max() > 127:
                raise NetworkError(f"{node.name}: weights must be integers in [-127, 127]")
            if channels > 4095 or not 0 <= node.epsilon < 1 << 32:
                raise NetworkError(f"{node.name}: layer norm takes at most 4095 channels and a 32-bit epsilon")
            node.post.validate(node.name, channels)
            return {node.name: (channels, 1, 1)}
    raise NetworkError(f"unknown node type {type(node).__name__}")


def record_arrays(post: PostParameters) -> dict[str, np.ndarray]:
    """The arrays of a record set by name, in the order of PostParameters."""
    return {f.name: getattr(post, f.name) for f in fields(post) if f.name in PostParameters.ARRAYS}
