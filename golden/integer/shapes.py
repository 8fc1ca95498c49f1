"""The rules that a node keeps, and the shapes of its tensors. Every broken rule is one NetworkError naming the node."""

from __future__ import annotations

import numpy as np

from triovit.golden.integer.network import Attention, Convolution, LayerNorm, NetworkError, Node, Pool

Shape = tuple[int, ...]


def output_shapes(node: Node, shapes: dict[str, Shape]) -> dict[str, Shape]:
    """Shapes of the tensors that a node computes, by name, intermediates first. shapes: of the tensors before it.

    Raises NetworkError with the node, the rule and the value when the node breaks a rule of the arithmetic contract.
    Whether its accumulators can overflow is the question of `bounds`.
    """
    source = shapes[node.inputs[0]]
    if len(source) != 3:
        raise NetworkError(f"{node.name}: input {node.inputs[0]} must have shape (C, H, W), not {source}")
    match node:
        case Convolution():
            return _convolution(node, source, shapes)
        case Attention():
            return _attention(node, source, shapes)
        case Pool():
            node.post.validate(node.name, source[0])
            return {node.name: (source[0], 1, 1)}
        case LayerNorm():
            return _layer_norm(node, source)
    raise NetworkError(f"unknown node type {type(node).__name__}")


def _convolution(node: Convolution, source: Shape, shapes: dict[str, Shape]) -> dict[str, Shape]:
    channels, height, width = source
    if node.weight.ndim != 4 or node.weight.shape[2] != node.weight.shape[3] or not node.weight.size:
        raise NetworkError(f"{node.name}: weight must have shape (Cout, Cin/groups, k, k), not {node.weight.shape}")
    if node.pad_value.dtype.kind != "i":
        raise NetworkError(f"{node.name}: pad_value must be integers, not {node.pad_value.dtype}")
    if node.padding < 0 or node.groups < 1:
        raise NetworkError(
            f"{node.name}: padding must be at least 0 and groups at least 1, not {node.padding}, {node.groups}"
        )
    out, per_group, kernel, _ = node.weight.shape
    if per_group * node.groups != channels or out % node.groups:
        raise NetworkError(
            f"{node.name}: weight {node.weight.shape} with {node.groups} groups does not fit {channels} channels"
        )
    _check_weights(node)
    if node.stride not in (1, 2):
        raise NetworkError(f"{node.name}: stride must be 1 or 2, not {node.stride}")
    if node.padding and node.pad_value.shape != (channels,):
        raise NetworkError(f"{node.name}: pad_value must have shape ({channels},), not {node.pad_value.shape}")
    if node.padding and (node.pad_value.min() < -128 or node.pad_value.max() > 127):
        raise NetworkError(f"{node.name}: pad_value must be int8")
    if node.padding >= kernel:  # no window lies in the padding alone
        raise NetworkError(f"{node.name}: padding must be less than the kernel, {kernel}, not {node.padding}")
    size = [(n + 2 * node.padding - kernel) // node.stride + 1 for n in (height, width)]
    if min(size) < 1:
        raise NetworkError(f"{node.name}: a {kernel} x {kernel} kernel does not fit a {height} x {width} map")
    shape = (out, *size)
    node.post.validate(node.name, out)
    if node.residual is not None:
        if shapes[node.residual] != shape:
            raise NetworkError(f"{node.name}: residual {node.residual} has shape {shapes[node.residual]}, not {shape}")
        if node.post.activation != "linear":
            raise NetworkError(f"{node.name}: a residual needs a linear activation, not {node.post.activation}")
    return {node.name: shape}


def _check_weights(node: Convolution) -> None:
    """Weights of uniform filters in the symmetric range of weight_bits, those of APoT filters levels of the format."""
    out, filters = len(node.weight), node.apot_filters
    if node.weight_bits not in node.WEIGHT_LIMITS:
        raise NetworkError(f"{node.name}: weight_bits must be 4 or 8, not {node.weight_bits}")
    if filters.dtype != bool or filters.shape not in ((0,), (out,)):
        raise NetworkError(
            f"{node.name}: apot_filters must be ({out},) bool or empty, not {filters.shape} {filters.dtype}"
        )
    if filters.size and node.apot is None:
        raise NetworkError(f"{node.name}: apot_filters need the format apot, not None")
    mixed = bool(filters.any())
    if node.weight.dtype not in ((np.int8, np.int16) if mixed else (np.int8,)):
        raise NetworkError(f"{node.name}: weight must be int8, or int16 with APoT filters, not {node.weight.dtype}")
    uniform = node.weight[~filters] if mixed else node.weight
    limit = node.WEIGHT_LIMITS[node.weight_bits]
    beyond = uniform[np.abs(uniform.astype(np.int64)) > limit]
    if beyond.size:
        raise NetworkError(
            f"{node.name}: weights must lie in [-{limit}, {limit}] for {node.weight_bits} bits, not {beyond[0]}"
        )
    if mixed:
        weights = node.weight[filters]
        between = weights[node.apot.nearest(weights) != weights]
        if between.size:
            raise NetworkError(f"{node.name}: weights of APoT filters must be levels of {node.apot}, not {between[0]}")


def _attention(node: Attention, source: Shape, shapes: dict[str, Shape]) -> dict[str, Shape]:
    _, height, width = source
    branches, uniform = len(node.inputs), node.divisor == "uniform"
    for name in node.inputs:
        if shapes[name] != (3 * node.heads * node.dim, height, width):
            raise NetworkError(
                f"{node.name}: input {name} must have {3 * node.heads * node.dim} channels, not {shapes[name]}"
            )
    if node.divisor not in node.DIVISORS:
        raise NetworkError(f"{node.name}: divisor must be one of {', '.join(node.DIVISORS)}, not {node.divisor!r}")
    if node.divisor_scale and not uniform:
        raise NetworkError(f"{node.name}: divisor_scale belongs to divisor 'uniform', not to {node.divisor!r}")
    for group in (node.product, node.key_sum, node.divide, *([node.divisor_scale] if uniform else [])):
        if len(group) != branches:
            raise NetworkError(f"{node.name}: {branches} branches need as many records, not {len(group)}")
        for post in group:
            post.validate(node.name, node.heads)
            if post.activation != "linear":
                raise NetworkError(f"{node.name}: attention records must be linear, not {post.activation}")
    if any(post.bias.any() or post.zero_point.any() for post in node.divisor_scale):
        raise NetworkError(f"{node.name}: records of divisor_scale must have bias 0 and zero_point 0")
    if uniform and node.log2_offset:
        raise NetworkError(f"{node.name}: log2_offset must be empty with divisor 'uniform', not {node.log2_offset}")
    if not uniform and (len(node.log2_offset) != branches or any(not -32 <= o <= 31 for o in node.log2_offset)):
        raise NetworkError(f"{node.name}: log2_offset must be one of -32..31 a branch, not {node.log2_offset}")
    return {**node.intermediates(height * width), node.name: (branches * node.heads * node.dim, height, width)}


def _layer_norm(node: LayerNorm, source: Shape) -> dict[str, Shape]:
    channels, height, width = source
    if (height, width) != (1, 1) or node.weight.shape != (channels,):
        raise NetworkError(f"{node.name}: layer norm needs a ({channels}, 1, 1) input and ({channels},) weights")
    if node.weight.dtype.kind != "i" or np.abs(node.weight.astype(np.int64)).max() > 127:
        raise NetworkError(f"{node.name}: weights must be integers in [-127, 127]")
    if channels > 4095 or not 0 <= node.epsilon < 1 << 32:
        raise NetworkError(f"{node.name}: layer norm takes at most 4095 channels and a 32-bit epsilon")
    node.post.validate(node.name, channels)
    return {node.name: (channels, 1, 1)}
