"""Computing instructions of the functional simulator, vectorised over a whole instruction.

The places of all operands come from `machine.nests`, the arithmetic from `golden.integer.arithmetic`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from triovit.golden.integer import arithmetic
from triovit.hdl.isa.instructions import Instruction
from triovit.hdl.isa.names import Destination, PostMode, Unit
from triovit.hdl.isa.record import PRODUCT_BITS, RECORD_DTYPE, RESIDUAL_BYTES
from triovit.machine import nests
from triovit.machine.nests import NESTS, Loops, Nest, engines, nest
from triovit.machine.state import Core, State
from triovit.machine.walk import Walk


@dataclass(frozen=True)
class Port:
    """One core's buffers as one engine sees them. What it touches in the first core is noted."""

    state: State
    core: Core
    unit: Unit

    def touch(self, space: str, words: np.ndarray, write: bool) -> None:
        if self.core is self.state.cores[0]:
            self.state.touch(self.unit, space, words.reshape(-1), write)

    def read(self, walk: Walk, counts: tuple[int, ...], noted: bool = True) -> np.ndarray:
        """int32 values (an axis a loop, of length 1 where the walk stands still; words, block)."""
        words = walk.index(counts)
        if noted:
            self.touch(walk.space, words, False)
        return self.core.buffers[walk.space][words].astype(np.int32)

    def features(self, loops: Nest, relu: int) -> np.ndarray:
        """Features of every turn, (*counts, block)."""
        values = self.read(loops.features, loops.counts, loops.fetches)[..., 0, :]
        return np.broadcast_to(np.maximum(values, 0) if relu else values, (*loops.counts, loops.block))

    def write(self, walk: Walk, space: str, counts: tuple[int, ...], values: np.ndarray) -> None:
        """A word to every turn's place."""
        words = walk.every(counts)
        self.touch(space, words, True)
        self.core.buffers[space][words] = values


def execute_compute(state: State, i: Instruction) -> None:
    """Execute an RMAC or MAT instruction on every core that takes part; for a joint convolution both engines' parts."""
    results = []
    for unit in engines(i):
        loops = nest(i, state.config.block, unit)
        for core in (state.cores[number] for number in state.active):
            port = Port(state, core, unit)
            results.append((port, loops, PSUMS[NESTS[i.opcode]](port, loops, i)))
    for port, loops, psums in results:
        _post_process(port, loops, i, psums.reshape(-1, loops.block))


def _convolution(port: Port, loops: Nest, i: Instruction) -> np.ndarray:
    block, groups, tiles = loops.block, loops.rows[0], loops.steps
    x = port.features(loops, i.relu)
    weights = port.read(loops.operand("weights"), loops.counts).reshape(groups, tiles, block, block)
    weights = weights.transpose(0, 1, 3, 2).reshape(groups, tiles * block, block)
    if i.in_group:
        return x.reshape(groups, -1, tiles * block) @ weights
    # Groups that read the same features are one product.
    psums = x[0].reshape(-1, tiles * block) @ weights.transpose(1, 0, 2).reshape(tiles * block, -1)
    return psums.reshape(-1, groups, block).transpose(1, 0, 2)


def _depthwise(port: Port, loops: Nest, i: Instruction) -> np.ndarray:
    x = port.features(loops, i.relu)
    return (x * port.read(loops.operand("weights"), loops.counts)[..., 0, :]).sum(axis=(3, 4), dtype=np.int32)


def _outer(port: Port, loops: Nest, i: Instruction) -> np.ndarray:
    groups, key_blocks, _ = loops.rows
    k = port.features(loops, i.relu)[0, :, 0].reshape(key_blocks, -1, loops.block)
    v = port.read(loops.operand("values"), loops.counts)[..., 0, :]
    v = np.broadcast_to(v[:, 0, 0], (groups, *loops.sums, loops.block)).reshape(groups, -1, loops.block)
    return np.einsum("gtl,rtm->grlm", v, k, dtype=np.int32, casting="safe")


def _row_sum(port: Port, loops: Nest, i: Instruction) -> np.ndarray:
    return port.features(loops, i.relu).sum(axis=(1, 2), dtype=np.int32)


def _layer_norm(port: Port, loops: Nest, i: Instruction) -> np.ndarray:
    x = port.features(loops, i.relu).astype(np.int64)
    weights = port.read(loops.operand("weights"), loops.counts)[..., 0, :]
    # Channels beyond `cols` pad the last block: their input counts with value 0, as memory holds it.
    n, s1, s2 = i.cols, int(x.sum()), int((x * x).sum())
    reciprocal, shift = arithmetic.layer_norm_reciprocal(n * s2 - s1 * s1 + i.epsilon)
    return arithmetic.saturate(arithmetic.rounding_shift((n * x - s1) * reciprocal, shift), 16) * weights


# The sums of each kind of loops.
PSUMS: dict[Loops, Callable[[Port, Nest, Instruction], np.ndarray]] = {
    nests.convolution: _convolution,
    nests.depthwise: _depthwise,
    nests.outer: _outer,
    nests.row_sum: _row_sum,
    nests.layer_norm: _layer_norm,
}


def _records(port: Port, loops: Nest) -> dict[str, np.ndarray]:
    """Fields of every row's records, (rows, block) int64."""
    words = loops.records.index(loops.rows)
    port.touch(loops.records.space, words, False)
    image = np.ascontiguousarray(port.core.buffers[loops.records.space][words])
    table = image.reshape(*words.shape[:-1], -1).view(RECORD_DTYPE)
    table = np.broadcast_to(table, (*loops.rows, loops.block)).reshape(-1, loops.block)
    return {name: table[name].astype(np.int64) for name in RECORD_DTYPE.names or ()}


def _post_process(port: Port, loops: Nest, i: Instruction, psums: np.ndarray) -> None:
    """Rows of psums (n, block) through the post-processing pipeline to their places."""
    mode, core = PostMode(i.mode), port.core
    p = _records(port, loops)
    limits = arithmetic.signed_range(port.state.config.accumulator_bits)
    total = arithmetic.check_range(psums.astype(np.int64) + p["bias"], *limits, "accumulator with its bias")
    m1, n1, zp = p["m1"], p["n1"] & 63, p["zero_point"]
    residual = None
    if i.residual:
        words = loops.out.every(loops.rows)
        port.touch("O", words, False)
        residual = core.buffers["O"][words].astype(np.int64)
    high = None
    match mode:
        case PostMode.LINEAR if residual is not None:
            value = arithmetic.requantize_residual(
                *(total, m1, n1, zp, residual),
                p["residual_multiplier"] & (1 << arithmetic.RESIDUAL_BITS) - 1,
                8 * (p["residual_shift"] & RESIDUAL_BYTES),
                product_bits=PRODUCT_BITS,
            )
        case PostMode.LINEAR:
            value = arithmetic.requantize(total, m1, n1, zp)
        case PostMode.HARDSWISH:
            value = arithmetic.hardswish_requantize(total, m1, n1, i.fraction_bits, p["m2"], p["n2"] & 63, zp)
        case PostMode.DIVIDE:
            pixels = loops.operand("code").every(loops.rows)
            port.touch("divisor", pixels, False)
            value = arithmetic.shift_divide(total, m1, n1, core.divisor[pixels][:, None], zp)
        case PostMode.LOG2:
            value = np.zeros_like(total)
            value[:, 0] = arithmetic.divisor_code(total[:, 0], i.log2_offset)
        case PostMode.WIDE:
            wide = arithmetic.requantize(total, m1, n1, zp, 16).astype("<i2")
            low_high = wide.view(np.int8).reshape(*wide.shape, 2)
            value, high = low_high[..., 0], low_high[..., 1]
    value = value.astype(np.int8)
    for space in ("O", "A"):
        if i.destination & Destination[space]:
            port.write(loops.out, space, loops.rows, value)
            if high is not None:
                port.write(loops.operand("high"), space, loops.rows, high)
    if i.destination & Destination.K:
        port.write(loops.operand("kept"), "K", loops.rows, value)
    if i.destination & Destination.DIVISOR:
        pixels = loops.operand("code").every(loops.rows)
        port.touch("divisor", pixels, True)
        core.divisor[pixels] = value[:, 0].view(np.uint8)
