"""Execution of an integer network on images: the reference every other execution is compared with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from triovit.golden.integer import arithmetic
from triovit.golden.integer.network import (
    INPUT,
    Attention,
    Convolution,
    IntegerNetwork,
    LayerNorm,
    NetworkError,
    Node,
    Pool,
    PostParameters,
)


def pixels_to_input(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 pixels -> (3, H, W) int8: minus 128; normalization is folded into the first layer."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise NetworkError(f"pixels must be (H, W, 3) uint8, not {pixels.shape} {pixels.dtype}")
    return (pixels.astype(np.int64) - 128).transpose(2, 0, 1).astype(np.int8)


def execute(
    network: IntegerNetwork, image: np.ndarray, *, keep: bool = False, progress: Callable[[str], None] | None = None
) -> dict[str, np.ndarray]:
    """Run one image. image: int8 of the network's input shape.

    Returns every tensor by name when `keep`, else only the output. progress is called with each node's name.
    Tensors are int8 (feature maps, log2 codes) or int16 (wide logits, uniform divisors). Raises NetworkError for a
    wrong image.
    """
    if image.shape != tuple(network.input_shape) or image.dtype != np.int8:
        raise NetworkError(f"image must be int8 {tuple(network.input_shape)}, not {image.dtype} {image.shape}")
    tensors = {INPUT: image}
    last_use = {name: i for i, node in enumerate(network.nodes) for name in node.inputs}
    for i, node in enumerate(network.nodes):
        if progress:
            progress(node.name)
        tensors.update(execute_node(node, tensors))
        if not keep:
            for name in [n for n in tensors if n != network.output and last_use.get(n, -1) <= i]:
                del tensors[name]
    return tensors


def execute_node(node: Node, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Tensors that one node computes from the tensors before it."""
    match node:
        case Convolution():
            residual = None if node.residual is None else tensors[node.residual]
            return {node.name: post_process(convolve(node, tensors[node.input]), node.post, residual)}
        case Attention():
            return _attention(node, tensors)
        case Pool():
            total = tensors[node.input].astype(np.int64).sum(axis=(1, 2), keepdims=True)
            return {node.name: post_process(total, node.post)}
        case LayerNorm():
            acc = arithmetic.layer_norm(tensors[node.input].reshape(-1), node.weight, node.epsilon)
            return {node.name: post_process(acc.reshape(-1, 1, 1), node.post)}
    raise NetworkError(f"unknown node type {type(node).__name__}")


def convolve(node: Convolution, x: np.ndarray) -> np.ndarray:
    """(Cout, H', W') int64 psums of a convolution, bias not added. Sums stay below 2**31 by `bounds`."""
    if node.padding:
        p = node.padding
        padded = np.empty((x.shape[0], x.shape[1] + 2 * p, x.shape[2] + 2 * p), dtype=np.int8)
        padded[:] = node.pad_value[:, None, None]
        padded[:, p:-p, p:-p] = x
        x = padded
    k, s, groups = node.kernel, node.stride, node.groups
    windows = np.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(1, 2))[:, ::s, ::s]
    channels, height, width = windows.shape[:3]
    out = node.weight.shape[0]
    if node.depthwise and out == channels:
        acc = np.zeros((out, height, width), dtype=np.int32)
        for row in range(k):
            for col in range(k):
                tap = node.weight[:, 0, row, col].astype(np.int32)[:, None, None]
                acc += windows[..., row, col].astype(np.int32) * tap
        return acc.astype(np.int64)
    columns = windows.reshape(groups, channels // groups, height, width, k * k).transpose(0, 2, 3, 1, 4)
    columns = np.ascontiguousarray(columns, dtype=np.int32).reshape(groups, height * width, -1)
    weight = node.weight.astype(np.int32).reshape(groups, out // groups, -1).transpose(0, 2, 1)
    acc = np.matmul(columns, np.ascontiguousarray(weight))
    return acc.transpose(0, 2, 1).reshape(out, height, width).astype(np.int64)


def post_process(acc: np.ndarray, post: PostParameters, residual: np.ndarray | None = None) -> np.ndarray:
    """Bias, activation and requantization of (C, H, W) psums with a record a channel; int8, or int16 when wide."""
    column = {name: getattr(post, name)[:, None, None] for name in PostParameters.ARRAYS}
    total = acc + column["bias"]
    m1, n1, zp = column["m1"], column["n1"], column["zero_point"]
    match post.activation:
        case "hardswish":
            y = arithmetic.hardswish_requantize(total, m1, n1, post.fraction_bits, column["m2"], column["n2"], zp)
        case "wide":
            return arithmetic.requantize(total, m1, n1, zp, 16).astype(np.int16)
        case _ if residual is not None:
            y = arithmetic.requantize_residual(
                total, m1, n1, zp, residual.astype(np.int64), column["residual_multiplier"], column["residual_shift"]
            )
        case _:
            y = arithmetic.requantize(total, m1, n1, zp)
    return y.astype(np.int8)


def _attention(node: Attention, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    result, outputs = {}, []
    for branch, name in enumerate(node.inputs):
        x = tensors[name]
        height, width = x.shape[1:]
        qkv = x.reshape(node.heads, 3, node.dim, height * width).astype(np.int64)
        q, k, v = np.maximum(qkv[:, 0], 0), np.maximum(qkv[:, 1], 0), qkv[:, 2]
        if node.key_apot is not None:
            k = node.key_apot.nearest(k)
        head = lambda post: [getattr(post, n)[:, None, None] for n in ("bias", "m1", "n1", "zero_point")]  # noqa: E731
        bias, m1, n1, zp = head(node.product[branch])
        kv = arithmetic.requantize(v @ k.transpose(0, 2, 1) + bias, m1, n1, zp)  # (heads, v, k)
        bias, m1, n1, zp = head(node.key_sum[branch])
        sums = arithmetic.requantize(k.sum(axis=2, keepdims=True) + bias, m1, n1, zp)  # (heads, k, 1)
        divisor = (sums * q).sum(axis=1, keepdims=True)  # (heads, 1, tokens)
        if node.divisor == "uniform":
            _, m1, n1, _ = head(node.divisor_scale[branch])
            code, divide, kind = arithmetic.uniform_divisor(divisor, m1, n1), arithmetic.uniform_divide, np.int16
        else:
            code = arithmetic.divisor_code(divisor, node.log2_offset[branch])
            divide, kind = arithmetic.shift_divide, np.int8
        bias, m1, n1, zp = head(node.divide[branch])
        out = divide(kv @ q + bias, m1, n1, code, zp)  # (heads, v, tokens)
        result[f"{node.name}.kv{branch}"] = kv.astype(np.int8)
        result[f"{node.name}.sum{branch}"] = sums[:, :, 0].astype(np.int8)
        result[f"{node.name}.code{branch}"] = code[:, 0].astype(kind)
        outputs.append(out.astype(np.int8).reshape(-1, height, width))
    result[node.name] = np.concatenate(outputs)
    return result
