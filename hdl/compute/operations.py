"""The operations of the MAC sequencers: an opcode's loops, strides and results, one row of a table each.

Every instruction is one loop nest of six levels. The three outer levels choose a result, the three inner ones
accumulate it:

    level            5        4             3                2               1            0
    convolution      group    row           column           kernel row      kernel col   input block
    depthwise        group    row           column / pixels  kernel row      kernel col   -
    outer product    v block  k block       -                token row       token/block  -
    row sum          group    -             -                token row       token/block  -
    layer norm       pass     input block   -                -               -            -

pixels: those that `block` neighbouring words hold: `block`, or half of it where every second one counts.

A further opcode is a further row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Mux

from triovit.hdl.compute.steps import StepKind
from triovit.hdl.isa.names import Destination, Opcode

Bits = Any  # an Amaranth value or an integer


@dataclass(frozen=True)
class Operation:
    """An opcode with the fields of an instruction. Tuples are by level, the innermost first.

    kind: what the data path does with a step. counts: iterations of the six levels. features: strides of the features'
    address. results: strides of the result's address at levels 3, 4, 5.
    values: strides of a second operand, which a step reads in a second cycle; None for one read a step.
    rows: rows of psums of a result; None: as many as its window has pixels.
    weights: words of weights that a step takes. records: record blocks from group to group.
    window: level of the loop whose steps are windows of pixels or tokens, of `pixels` each; None: a step is one pixel.
    double: windows take every second word. two_passes: the outermost loop reads the same features, weights and records
    twice, level 4 is what is accumulated, and the second pass gives a result per step.
    """

    kind: StepKind
    counts: tuple[Bits, Bits, Bits, Bits, Bits, Bits]
    features: tuple[Bits, Bits, Bits, Bits, Bits, Bits]
    results: tuple[Bits, Bits, Bits]
    values: tuple[Bits, Bits, Bits, Bits, Bits, Bits] | None = None
    rows: Bits | None = 1
    weights: int = 1
    records: Bits = 1
    window: int | None = None
    pixels: Bits = 0
    double: Bits = 0
    two_passes: bool = False


def windows(count: Bits, block: int) -> Bits:
    """Windows of `block` pixels or tokens that `count` of them need; block: a power of two."""
    return (count + (block - 1)) >> (block - 1).bit_length()


def convolution(f, block: int, joint: Bits) -> Operation:
    """joint: the MAT engine does every second output block."""
    return Operation(
        kind=StepKind.CONV,
        counts=(f.blocks, f.kernel_cols, f.kernel_rows, f.cols, f.rows, f.groups),
        features=(f.in_block, 1, f.in_row, Mux(f.stride, 2, 1), Mux(f.stride, f.in_row << 1, f.in_row), f.in_group),
        results=(1, f.out_row, Mux(joint, f.out_group << 1, f.out_group)),
        weights=block,
        records=Mux(joint, 2, 1),
    )


def depthwise(f, block: int, joint: Bits) -> Operation:
    columns = Mux(f.stride, windows(f.cols, block // 2), windows(f.cols, block))
    pixels = Mux(f.stride, block // 2, block)
    return Operation(
        kind=StepKind.DEPTHWISE,
        counts=(1, f.kernel_cols, f.kernel_rows, columns, f.rows, f.groups),
        # A window is `block` words wide with either stride.
        features=(0, 1, f.in_row, block, Mux(f.stride, f.in_row << 1, f.in_row), f.in_group),
        results=(pixels, f.out_row, f.out_group),
        rows=None,
        window=3,
        pixels=pixels,
        double=f.stride,
    )


def outer_product(f, block: int, joint: Bits) -> Operation:
    return Operation(
        kind=StepKind.OUTER,
        counts=(1, windows(f.cols, block), f.rows, 1, f.kernel_rows, f.groups),
        features=(0, block, f.in_row, 0, f.in_block, 0),
        values=(0, block, f.in_row, 0, 0, f.in_group),
        results=(0, f.out_row, f.out_group),
        rows=block,
        records=0,
        window=1,
        pixels=block,
    )


def row_sum(f, block: int, joint: Bits) -> Operation:
    kept = f.destination[Destination.K.position]  # a matrix of weights has one record
    return Operation(
        kind=StepKind.ROW_SUM,
        counts=(1, windows(f.cols, block), f.rows, 1, 1, f.groups),
        features=(0, block, f.in_row, 0, 0, f.in_group),
        results=(0, 0, f.out_group),
        records=~kept,
        window=1,
        pixels=block,
    )


def layer_norm(f, block: int, joint: Bits) -> Operation:
    return Operation(
        kind=StepKind.LAYER_NORM,
        counts=(1, 1, 1, 1, f.blocks, 2),
        features=(0, 0, 0, 0, f.in_block, 0),
        results=(0, f.out_group, 0),
        two_passes=True,
    )


# (fields, block, joint) -> operation; MAT_JOIN has no loops: it is one step.
OPERATIONS: dict[Opcode, Callable[..., Operation]] = {
    Opcode.RMAC_CONV: convolution,
    Opcode.RMAC_DEPTHWISE: depthwise,
    Opcode.RMAC_OUTER: outer_product,
    Opcode.RMAC_ROW_SUM: row_sum,
    Opcode.RMAC_LAYER_NORM: layer_norm,
    Opcode.MAT_CONV: convolution,
}
