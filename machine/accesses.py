"""Words that an instruction reads and writes, as index arrays, from its fields alone."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np

from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.isa.names import Buffer, Destination, Opcode, PostMode, Unit
from triovit.hdl.isa.record import RECORD_BYTES

DIVISOR, MEMORY, K = "divisor", "memory", "K"


@functools.lru_cache(maxsize=4096)
def _box(shape: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Offsets of nested loops (count, stride), without repetitions."""
    offsets = np.zeros(1, dtype=np.int64)
    for count, stride in shape:
        if count > 1 and stride:
            offsets = (offsets[:, None] + np.arange(count, dtype=np.int64) * stride).reshape(-1)
    return offsets


def _words(base: int, *loops: tuple[int, int]) -> np.ndarray:
    return base + _box(loops)


def transfer_accesses(
    config: AcceleratorConfig, opcode: Opcode, f: dict[str, int]
) -> Iterator[tuple[str, np.ndarray, bool]]:
    """(space, words, is a write) of a LOAD or STORE; memory in words of core 0's image."""
    on_chip = _words(
        f["local"], (f["planes"], f.get("local_plane", 0)), (f["rows"], f.get("local_row", 0)), (f["words"], 1)
    )
    block = config.block
    memory = _words(
        f["memory"] // block,
        (f["planes"], f.get("memory_plane", 0) // block),
        (f["rows"], f.get("memory_row", 0) // block),
        (f["words"], 1),
    )
    load = opcode == Opcode.LOAD
    yield Buffer(f["buffer"]).name if load else "O", on_chip, load
    yield MEMORY, memory, not load


def compute_accesses(
    config: AcceleratorConfig, opcode: Opcode, f: dict[str, int], unit: Unit
) -> Iterator[tuple[str, np.ndarray, bool]]:
    """The same for a computation; of a joint convolution the part that `unit` does."""
    block = config.block
    get = lambda *names: tuple(f.get(name, 0) for name in names)  # noqa: E731
    groups, rows, cols, kr, kc, blocks = get("groups", "rows", "cols", "kernel_rows", "kernel_cols", "blocks")
    in_base, in_group, in_row, in_block = get("in_base", "in_group", "in_row", "in_block")
    out, out_group, out_row, attention = get("out_base", "out_group", "out_row", "attention")
    weights, records, destination, mode = get("weights", "parameters", "destination", "mode")
    stride = f.get("stride", 0) + 1
    joint = bool(f.get("joint", 0))
    source = "O" if f.get("source", 0) else "A"
    step = 2 if joint else 1
    odd = 1 if joint and unit == Unit.MAT else 0
    results: list[tuple[int, int]] = []
    kept = _box(())
    match opcode:
        case Opcode.RMAC_CONV | Opcode.MAT_CONV | Opcode.RMAC_DEPTHWISE:
            depthwise = opcode == Opcode.RMAC_DEPTHWISE
            window = (
                (groups, in_group),
                ((rows - 1) * stride + kr, in_row),
                (1 if depthwise else blocks, in_block),
                ((cols - 1) * stride + kc, 1),
            )
            if not odd:
                yield source, _words(in_base, *window), False
            count = groups * kr * kc * (1 if depthwise else blocks * block)
            weight_space = K if f.get("stationary", 0) else ("C" if unit == Unit.MAT else "B")
            yield weight_space, _words(weights, (count, 1)), False
            out += odd * out_group
            results = [(groups, step * out_group), (rows, out_row), (cols, 1)]
            if mode == PostMode.WIDE:
                results.append((2, out_row))
            record_words = _words((records + odd) * RECORD_BYTES, (groups, step * RECORD_BYTES), (RECORD_BYTES, 1))
            if destination & Destination.DIVISOR:
                yield DIVISOR, np.arange(rows * cols), True
            if mode == PostMode.DIVIDE:
                yield DIVISOR, np.arange(rows * cols), False
        case Opcode.RMAC_OUTER:
            yield source, _words(in_base, (kr, in_block), (rows, in_row), (cols, 1)), False
            yield source, _words(f.get("in_value", 0), (groups, in_group), (rows, in_row), (cols, 1)), False
            results = [(groups, out_group), (kr, out_row), (block, 1)]
            kept = _box(((groups * kr * block, 1),))
            record_words = _words(records * RECORD_BYTES, (RECORD_BYTES, 1))
        case Opcode.RMAC_ROW_SUM:
            yield source, _words(in_base, (groups, in_group), (rows, in_row), (cols, 1)), False
            results = [(groups, out_group)]
            kept = _box(((groups, block),))
            count = 1 if destination & Destination.K else groups
            record_words = _words(records * RECORD_BYTES, (count * RECORD_BYTES, 1))
        case Opcode.RMAC_LAYER_NORM:
            yield source, _words(in_base, (blocks, in_block)), False
            yield "B", _words(weights, (blocks, 1)), False
            results = [(blocks, out_group)]
            record_words = _words(records * RECORD_BYTES, (blocks * RECORD_BYTES, 1))
        case _:
            raise AssertionError(f"{opcode.name} computes nothing")
    yield "P", record_words, False
    if f.get("residual", 0):
        yield "O", _words(out, *results), False
    for space in ("O", "A"):
        if destination & Destination[space]:
            yield space, _words(out, *results), True
    if destination & Destination.K:
        yield K, attention + kept, True
