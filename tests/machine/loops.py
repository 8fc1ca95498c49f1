"""The loops of docs/architecture.md, turn by turn, in plain Python and without `machine.nests`."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from triovit.hdl.isa.instructions import Instruction
from triovit.hdl.isa.names import Destination, Opcode, PostMode, Unit

RECORD_WORDS = 16


@dataclass
class Loops:
    """What one engine does.

    sums: for every row of results, named by its number, the operands that are added: pairs of words (features and
    first weight, or k and v). places: (word of O, record block, word of K or None) of a row. reads, writes: all
    (space, word). steps: of the engine.
    """

    sums: dict[int, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    places: list[tuple[int, int, int | None]] = field(default_factory=list)
    reads: set[tuple[str, int]] = field(default_factory=set)
    writes: set[tuple[str, int]] = field(default_factory=set)
    steps: int = 0

    def read(self, space: str, first: int, words: int = 1) -> int:
        self.reads |= {(space, first + n) for n in range(words)}
        return first


def enumerate_loops(i: Instruction, block: int, unit: Unit) -> Loops:
    """The table "Instructions, exactly"."""
    made = Loops()
    match i.opcode:
        case Opcode.RMAC_CONV | Opcode.MAT_CONV:
            _convolution(made, i, block, unit)
        case Opcode.RMAC_DEPTHWISE:
            _depthwise(made, i, block)
        case Opcode.RMAC_OUTER:
            _outer(made, i, block)
        case Opcode.RMAC_ROW_SUM:
            _row_sum(made, i, block)
        case Opcode.RMAC_LAYER_NORM:
            _layer_norm(made, i)
    _results(made, i)
    return made


def _convolution(made: Loops, i: Instruction, block: int, unit: Unit) -> None:
    s, joint = i.stride + 1, i.opcode == Opcode.RMAC_CONV and i.joint
    source = "O" if i.source else "A"
    weights = "K" if i.stationary else {Unit.RMAC: "B", Unit.MAT: "C"}[unit]
    steps = i.kernel_rows * i.kernel_cols * i.blocks
    for g in range(i.groups):
        number = g if not joint else 2 * g + (unit == Unit.MAT)
        for y in range(i.rows):
            for x in range(i.cols):
                step = 0
                for r in range(i.kernel_rows):
                    for c in range(i.kernel_cols):
                        for b in range(i.blocks):
                            a = i.in_base + g * i.in_group + (y * s + r) * i.in_row + (x * s + c) + b * i.in_block
                            if not (joint and unit == Unit.MAT):
                                made.read(source, a)
                            w = made.read(weights, i.weights + (g * steps + step) * block, block)
                            made.sums[len(made.places)].append((a, w))
                            step += 1
                made.steps += step
                made.places.append((i.out_base + number * i.out_group + y * i.out_row + x, i.parameters + number, None))


def _depthwise(made: Loops, i: Instruction, block: int) -> None:
    s, taps = i.stride + 1, i.kernel_rows * i.kernel_cols
    for g in range(i.groups):
        for y in range(i.rows):
            for first in range(0, i.cols, block // s):
                made.steps += taps
                for x in range(first, min(first + block // s, i.cols)):
                    for r in range(i.kernel_rows):
                        for c in range(i.kernel_cols):
                            a = made.read("A", i.in_base + g * i.in_group + (y * s + r) * i.in_row + x * s + c)
                            w = made.read("B", i.weights + g * taps + r * i.kernel_cols + c)
                            made.sums[len(made.places)].append((a, w))
                    made.places.append((i.out_base + g * i.out_group + y * i.out_row + x, i.parameters + g, None))


def _outer(made: Loops, i: Instruction, block: int) -> None:
    for g in range(i.groups):
        for r in range(i.kernel_rows):
            made.steps += i.rows * i.cols
            for lane in range(block):
                for y in range(i.rows):
                    for x in range(i.cols):
                        k = made.read("A", i.in_base + r * i.in_block + y * i.in_row + x)
                        v = made.read("A", i.in_value + g * i.in_group + y * i.in_row + x)
                        made.sums[len(made.places)].append((k, v))
                kept = i.attention + (g * i.kernel_rows + r) * block + lane
                made.places.append((i.out_base + g * i.out_group + r * i.out_row + lane, i.parameters, kept))


def _row_sum(made: Loops, i: Instruction, block: int) -> None:
    for g in range(i.groups):
        for y in range(i.rows):
            for first in range(0, i.cols, block):
                made.steps += 1
                for x in range(first, min(first + block, i.cols)):
                    made.sums[g].append((made.read("A", i.in_base + g * i.in_group + y * i.in_row + x), -1))
        record = i.parameters if i.destination & Destination.K else i.parameters + g
        made.places.append((i.out_base + g * i.out_group, record, i.attention + g * block))


def _layer_norm(made: Loops, i: Instruction) -> None:
    for _ in range(2):
        made.steps += i.blocks
    for b in range(i.blocks):
        made.sums[b].append((made.read("A", i.in_base + b * i.in_block), made.read("B", i.weights + b)))
        made.places.append((i.out_base + b * i.out_group, i.parameters + b, None))


def _results(made: Loops, i: Instruction) -> None:
    for number, (out, record, kept) in enumerate(made.places):
        pixel = number % (i.rows * i.cols)
        made.read("P", record * RECORD_WORDS, RECORD_WORDS)
        if i.residual:
            made.read("O", out)
        if i.mode == PostMode.DIVIDE:
            made.read("divisor", pixel)
        for space in ("O", "A"):
            if i.destination & Destination[space]:
                made.writes |= {(space, out)} | ({(space, out + i.out_row)} if i.mode == PostMode.WIDE else set())
        if i.destination & Destination.K:
            made.writes.add(("K", kept))
        if i.destination & Destination.DIVISOR:
            made.writes.add(("divisor", pixel))
