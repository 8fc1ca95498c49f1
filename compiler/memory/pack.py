"""Weights and post-processing records as the bytes of their words."""

from __future__ import annotations

import math

import numpy as np

from triovit.golden.integer.nodes import Convolution
from triovit.golden.integer.records import PostParameters
from triovit.hdl.isa.record import RECORD_DTYPE, RESIDUAL_BYTES


def blocks_of(channels: int, block: int) -> int:
    """Channel blocks that hold `channels` channels."""
    return -(-channels // block)


def pack_records(post: PostParameters, block: int) -> np.ndarray:
    """(channel blocks, block) records; padded channels are zero and so give zero."""
    records = np.zeros(blocks_of(post.channels, block) * block, dtype=RECORD_DTYPE)
    records[: post.channels] = _records(post)
    return records.reshape(-1, block)


def repeated_record(post: PostParameters, index: int, block: int) -> np.ndarray:
    """(block,) records, all of them number `index` of `post`."""
    return np.repeat(_records(post)[index : index + 1], block)


def _records(post: PostParameters) -> np.ndarray:
    """(channels,) records. The residual's term is shifted by whole bytes, the rest of the shift is in the multiplier:
    24 bits hold it whenever the term fits a product of `hdl.isa.record.PRODUCT_BITS`."""
    records = np.zeros(post.channels, dtype=RECORD_DTYPE)
    for name, values in post.arrays().items():
        records[name] = values
    byte_shift = np.minimum(post.residual_shift // 8, RESIDUAL_BYTES)
    records["residual_shift"] = byte_shift
    records["residual_multiplier"] = post.residual_multiplier << (post.residual_shift - 8 * byte_shift)
    return records


def pack_depthwise(weight: np.ndarray, block: int) -> np.ndarray:
    """(C, 1, k, k) int8 -> (channel blocks, k * k, block) words."""
    channels, _, kernel, _ = weight.shape
    padded = np.zeros((blocks_of(channels, block) * block, kernel * kernel), dtype=np.int8)
    padded[:channels] = weight.reshape(channels, -1)
    return np.ascontiguousarray(padded.reshape(-1, block, kernel * kernel).transpose(0, 2, 1))


def merged_groups(node: Convolution, block: int) -> int:
    """Groups after neighbours have been merged until a group's inputs and outputs are whole channel blocks."""
    out_channels, per_group = node.weight.shape[:2]
    if node.groups == 1:
        return 1
    outputs = out_channels // node.groups
    merge = math.lcm(block // math.gcd(block, per_group), block // math.gcd(block, outputs))
    return node.groups // merge if node.groups % merge == 0 else 1


def pack_convolution(node: Convolution, block: int) -> np.ndarray:
    """(merged groups, output blocks a group, k, k, input blocks a group, lane, channel) int8; the last two are words.

    Merged groups are block diagonal. Channels that pad the last block are zero.
    """
    out_channels, per_group, kernel, _ = node.weight.shape
    merged = merged_groups(node, block)
    merge, outputs = node.groups // merged, out_channels // node.groups
    dense = np.zeros((merged, merge, outputs, merge, per_group, kernel, kernel), dtype=np.int8)
    weight = node.weight.reshape(merged, merge, outputs, per_group, kernel, kernel)
    for i in range(merge):
        dense[:, i, :, i] = weight[:, i]
    dense = dense.reshape(merged, merge * outputs, merge * per_group, kernel, kernel)
    out_blocks, in_blocks = blocks_of(merge * outputs, block), blocks_of(merge * per_group, block)
    padded = np.zeros((merged, out_blocks * block, in_blocks * block, kernel, kernel), dtype=np.int8)
    padded[:, : dense.shape[1], : dense.shape[2]] = dense
    tiles = padded.reshape(merged, out_blocks, block, in_blocks, block, kernel, kernel)
    return np.ascontiguousarray(tiles.transpose(0, 1, 5, 6, 3, 2, 4))
