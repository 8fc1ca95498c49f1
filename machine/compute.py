"""Computing instructions of the functional simulator, vectorised over a whole instruction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from triovit.golden.integer import arithmetic
from triovit.hdl.isa.instructions import Instruction
from triovit.hdl.isa.names import Destination, Opcode, PostMode, Unit
from triovit.hdl.isa.record import RECORD_BYTES, RECORD_DTYPE

if TYPE_CHECKING:
    from triovit.machine.functional import Core, FunctionalSimulator


def nest(base: int, *loops: tuple[int, int]) -> np.ndarray:
    """Addresses of nested loops (count, stride) as an array with an axis a loop."""
    address = np.asarray(base, dtype=np.int64)
    for count, stride in loops:
        address = address[..., None] + np.arange(count, dtype=np.int64) * stride
    return address


def execute_compute(machine: FunctionalSimulator, i: Instruction) -> None:
    """Execute an RMAC or MAT instruction on every core; for a joint convolution both engines' parts."""
    parts = [(i.unit, i.groups, 1, 0)]
    if i.opcode == Opcode.RMAC_CONV and i.joint:
        parts = [(Unit.RMAC, i.groups, 2, 0), (Unit.MAT, i.groups, 2, 1)]
    results = []
    for unit, groups, step, odd in parts:
        for core in machine.cores:
            watched = core is machine.cores[0]
            match i.opcode:
                case Opcode.RMAC_CONV | Opcode.MAT_CONV:
                    rows = _convolution(machine, core, i, unit, groups, step, odd, watched)
                case Opcode.RMAC_DEPTHWISE:
                    rows = _depthwise(machine, core, i, watched)
                case Opcode.RMAC_OUTER:
                    rows = _outer(machine, core, i, watched)
                case Opcode.RMAC_ROW_SUM:
                    rows = _row_sum(machine, core, i, watched)
                case _:
                    rows = _layer_norm(machine, core, i, watched)
            results.append((unit, core, rows, watched))
    for unit, core, rows, watched in results:
        _post_process(machine, core, i, unit, *rows, watched)


def _read(
    machine, core: Core, unit: Unit, space: str, words: np.ndarray, watched: bool, relu: bool = False
) -> np.ndarray:
    """Words (..., block) of a buffer as int32."""
    if watched:
        machine.touch(unit, space, words.reshape(-1), False)
    values = core.buffers[space][words]
    return (np.maximum(values, 0) if relu else values).astype(np.int32)


def _convolution(machine, core, i, unit, groups, step, odd, watched):
    block, stride = machine.config.block, i.stride + 1
    source = "O" if i.source else "A"
    shared = i.in_group == 0
    window = nest(
        i.in_base,
        (1 if shared else groups, i.in_group),
        (i.rows, stride * i.in_row),
        (i.cols, stride),
        (i.kernel_rows, i.in_row),
        (i.kernel_cols, 1),
        (i.blocks, i.in_block),
    )
    # Of a joint step only the R-MAC unit reads the features.
    x = _read(machine, core, unit, source, window, watched and not odd, i.relu)
    x = x.reshape(window.shape[0], i.rows * i.cols, -1)
    steps = i.kernel_rows * i.kernel_cols * i.blocks
    space = "K" if i.stationary else ("C" if unit == Unit.MAT else "B")
    weights = _read(machine, core, unit, space, nest(i.weights, (groups * steps * block, 1)), watched)
    weights = weights.reshape(groups, steps, block, block).transpose(0, 1, 3, 2).reshape(groups, steps * block, block)
    if shared:
        acc = (
            (x[0] @ weights.transpose(1, 0, 2).reshape(steps * block, -1)).reshape(-1, groups, block).transpose(1, 0, 2)
        )
    else:
        acc = x @ weights
    number = step * np.arange(groups) + odd
    out = i.out_base + number[:, None, None] * i.out_group + nest(0, (i.rows, i.out_row), (i.cols, 1))
    pixel = np.broadcast_to(np.arange(i.rows * i.cols), (groups, i.rows * i.cols))
    records = np.broadcast_to((i.parameters + number)[:, None], pixel.shape)
    return acc.reshape(-1, block), out.reshape(-1), records.reshape(-1), pixel.reshape(-1), None


def _depthwise(machine, core, i, watched):
    block, stride, taps = machine.config.block, i.stride + 1, i.kernel_rows * i.kernel_cols
    window = nest(
        i.in_base,
        (i.groups, i.in_group),
        (i.rows, stride * i.in_row),
        (i.cols, stride),
        (i.kernel_rows, i.in_row),
        (i.kernel_cols, 1),
    )
    x = _read(machine, core, Unit.RMAC, "A", window, watched, i.relu)
    weights = _read(machine, core, Unit.RMAC, "B", nest(i.weights, (i.groups, taps), (taps, 1)), watched)
    weights = weights.reshape(i.groups, 1, 1, i.kernel_rows, i.kernel_cols, block)
    acc = (x * weights).sum(axis=(3, 4), dtype=np.int32)
    out = nest(i.out_base, (i.groups, i.out_group), (i.rows, i.out_row), (i.cols, 1)).reshape(-1)
    pixel = np.tile(np.arange(i.rows * i.cols), i.groups)
    records = np.repeat(i.parameters + np.arange(i.groups), i.rows * i.cols)
    return acc.reshape(-1, block), out, records, pixel, None


def _outer(machine, core, i, watched):
    block = machine.config.block
    tokens = nest(0, (i.rows, i.in_row), (i.cols, 1)).reshape(-1)
    k = _read(
        machine, core, Unit.RMAC, "A", nest(i.in_base, (i.kernel_rows, i.in_block))[:, None] + tokens, watched, i.relu
    )
    v = _read(machine, core, Unit.RMAC, "A", nest(i.in_value, (i.groups, i.in_group))[:, None] + tokens, watched)
    acc = np.einsum("gtl,rtm->grlm", v, k, dtype=np.int32, casting="safe")
    out = nest(i.out_base, (i.groups, i.out_group), (i.kernel_rows, i.out_row), (block, 1)).reshape(-1)
    kept = i.attention + np.arange(out.size)
    return acc.reshape(-1, block), out, np.full(out.size, i.parameters), np.zeros(out.size, dtype=np.int64), kept


def _row_sum(machine, core, i, watched):
    window = nest(i.in_base, (i.groups, i.in_group), (i.rows, i.in_row), (i.cols, 1))
    acc = _read(machine, core, Unit.RMAC, "A", window, watched, i.relu).sum(axis=(1, 2), dtype=np.int32)
    out = nest(i.out_base, (i.groups, i.out_group))
    kept = nest(i.attention, (i.groups, machine.config.block))
    records = np.full(i.groups, i.parameters) if i.destination & Destination.K else i.parameters + np.arange(i.groups)
    return acc, out, records, np.zeros(i.groups, dtype=np.int64), kept


def _layer_norm(machine, core, i, watched):
    x = _read(machine, core, Unit.RMAC, "A", nest(i.in_base, (i.blocks, i.in_block)), watched, i.relu)
    weights = _read(machine, core, Unit.RMAC, "B", nest(i.weights, (i.blocks, 1)), watched)
    # Channels beyond `cols` pad the last block: their input counts with value 0, as memory holds it.
    flat, n = x.reshape(-1).astype(np.int64), i.cols
    s1, s2 = int(flat.sum()), int((flat * flat).sum())
    reciprocal, shift = arithmetic.layer_norm_reciprocal(n * s2 - s1 * s1 + i.epsilon)
    z = arithmetic.saturate(arithmetic.rounding_shift((n * flat - s1) * reciprocal, shift), 16)
    acc = (z * weights.reshape(-1)).reshape(i.blocks, -1)
    out = nest(i.out_base, (i.blocks, i.out_group))
    return acc, out, i.parameters + np.arange(i.blocks), np.zeros(i.blocks, dtype=np.int64), None


def _post_process(machine, core, i, unit, acc, out, records, pixel, kept, watched):
    """Rows of psums (n, block) through the post-processing pipeline to their places."""
    block, mode = machine.config.block, PostMode(i.mode)
    used, inverse = np.unique(records, return_inverse=True)
    words = nest(0, (RECORD_BYTES, 1)) + used[:, None] * RECORD_BYTES
    if watched:
        machine.touch(unit, "P", words.reshape(-1), False)
        if i.residual:
            machine.touch(unit, "O", out, False)
        if mode == PostMode.DIVIDE:
            machine.touch(unit, "divisor", pixel, False)
    table = (
        np.ascontiguousarray(core.buffers["P"][words].reshape(used.size, -1))
        .view(RECORD_DTYPE)
        .reshape(used.size, block)
    )
    p = {name: table[name].astype(np.int64)[inverse] for name in RECORD_DTYPE.names}
    total = acc.astype(np.int64) + p["bias"]
    m1, n1, zp = p["m1"], p["n1"] & 63, p["zero_point"]
    high = None
    match mode:
        case PostMode.LINEAR if i.residual:
            value = arithmetic.requantize_residual(
                total,
                m1,
                n1,
                zp,
                core.buffers["O"][out].astype(np.int64),
                p["residual_multiplier"],
                p["residual_shift"] & 63,
            )
        case PostMode.LINEAR:
            value = arithmetic.requantize(total, m1, n1, zp)
        case PostMode.HARDSWISH:
            value = arithmetic.hardswish_requantize(total, m1, n1, i.fraction_bits, p["m2"], p["n2"] & 63, zp)
        case PostMode.DIVIDE:
            value = arithmetic.shift_divide(total, m1, n1, core.divisor[pixel][:, None], zp)
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
            _write(machine, core, unit, space, out, value, watched)
            if high is not None:
                _write(machine, core, unit, space, out + i.out_row, high, watched)
    if i.destination & Destination.K and kept is not None:
        _write(machine, core, unit, "K", kept, value, watched)
    if i.destination & Destination.DIVISOR:
        if watched:
            machine.touch(unit, "divisor", pixel, True)
        core.divisor[pixel] = value[:, 0].view(np.uint8)


def _write(machine, core, unit, space, words, value, watched):
    if watched:
        machine.touch(unit, space, words, True)
    core.buffers[space][words] = value
