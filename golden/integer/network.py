"""The quantized network as data: nodes with integer parameters, in execution order.

Every node writes one tensor that carries its name; tensors are int8 arrays (C, H, W), except the logits of a
`wide` node (int16) and the attention intermediates (see `Attention`). The rules that a node keeps are in `shapes.py`,
execution is in `execute.py`, files in `serialize.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

import numpy as np

from triovit.golden.integer.apot import ApotFormat
from triovit.golden.integer.arithmetic import ACCUMULATOR_BITS, MAX_SHIFT, MULTIPLIER_BITS, signed_range

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
        "bias": signed_range(ACCUMULATOR_BITS),
        "zero_point": (-128, 127),
        "m1": (0, (1 << MULTIPLIER_BITS) - 1),
        "m2": (0, (1 << MULTIPLIER_BITS) - 1),
        "residual_multiplier": (0, (1 << MULTIPLIER_BITS) - 1),
        "n1": (0, MAX_SHIFT),
        "n2": (0, MAX_SHIFT),
        "residual_shift": (0, MAX_SHIFT),
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

    weight: (Cout, Cin / groups, k, k) integers, the values of uniform and of APoT filters alike: int8, or int16 when a
    level of an APoT filter needs it. padding pixels take pad_value[c] (the input's zero point, a channel). residual:
    name of a tensor of the output's shape that is added before the rounding. weight_bits: of the uniform filters, 8 for
    values in [-127, 127] or 4 for [-7, 7] (M2-ViT's depthwise layers). apot_filters: (Cout,) bool, the filters whose
    weights are levels of `apot`, additive powers of two (M2-ViT, quantization section); empty means none.
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
    """ReLU linear attention over several branches (multi-scale), head by head.

    inputs: one tensor (heads * 3 * dim, H, W) a branch; per head q, k, v are consecutive blocks of `dim` channels.
    The output is (branches * heads * dim, H, W), branch after branch. Per branch and head h:
      kv[v, k]  = requantize(sum over tokens of relu(k) v), record h of `product`
      sums[k]   = requantize(sum over tokens of relu(k)), record h of `key_sum`
      code[t]   = divisor_code(relu(q)[t] . sums, log2_offset)
      out[v, t] = shift_divide(relu(q)[t] . kv[v], record h of `divide`, code[t])
    The first three are tensors too: NAME.kv{branch} (heads, dim, dim), NAME.sum{branch} (heads, dim) and
    NAME.code{branch} (heads, tokens).

    key_apot: relu(k) is replaced by the nearest level of these additive powers of two, in the product and in the sum
    (M2-ViT runs K^T V on its shifter-adder-tree); q is not. divisor: "log2", or "uniform" for the ablation of
    Trio-ViT's Table VI, which no hardware runs. Then log2_offset is empty, divisor_scale holds a record a head for
    each branch (m1 and n1 alone), and
      code[t]   = uniform_divisor(relu(q)[t] . sums, record h of `divisor_scale`)    0..255, an int16 tensor
      out[v, t] = uniform_divide(relu(q)[t] . kv[v], record h of `divide`, code[t])
    """

    name: str
    inputs: tuple[str, ...]
    heads: int
    dim: int
    product: tuple[PostParameters, ...]
    key_sum: tuple[PostParameters, ...]
    divide: tuple[PostParameters, ...]
    log2_offset: tuple[int, ...]
    key_apot: ApotFormat | None = None
    divisor: str = "log2"
    divisor_scale: tuple[PostParameters, ...] = ()

    DIVISORS = ("log2", "uniform")

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
    """LayerNorm over the channels of a 1 x 1 map: arithmetic.layer_norm, then a record a channel.

    weight: (C,), -127..127; C up to 4095.
    """

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

    classes: class names, one for each output, or none. metadata: free JSON values (method, calibration hash, ...).
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
        from triovit.golden.integer.shapes import output_shapes

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
                    raise NetworkError(
                        f"{node.name}: input {name} is no int8 feature map (wide logits, or inside an attention)"
                    )
            for name, shape in output_shapes(node, shapes).items():
                if name in shapes:
                    raise NetworkError(f"tensor name {name} is used twice")
                shapes[name] = shape
            if isinstance(node, Attention) or node.post.activation != "wide":
                maps.add(node.name)
        return shapes

    def validate(self) -> IntegerNetwork:
        """Return self; raises NetworkError on any broken rule, accumulator overflow included."""
        from triovit.golden.integer.bounds import check_bounds

        if not self.nodes:
            raise NetworkError(f"network {self.name} has no nodes")
        outputs = self.shapes()[self.output][0]
        if self.classes and len(self.classes) != outputs:
            raise NetworkError(f"network {self.name}: classes must name all {outputs} outputs, not {len(self.classes)}")
        check_bounds(self)
        return self

    def with_metadata(self, **values) -> IntegerNetwork:
        return replace(self, metadata={**self.metadata, **values})


def record_arrays(post: PostParameters) -> dict[str, np.ndarray]:
    """The arrays of a record set by name, in the order of PostParameters."""
    return {f.name: getattr(post, f.name) for f in fields(post) if f.name in PostParameters.ARRAYS}
