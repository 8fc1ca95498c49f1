"""Words that an instruction reads and writes, from its loops and fields alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.isa.instructions import Instruction
from triovit.hdl.isa.names import Destination, Opcode, PostMode, Unit
from triovit.machine.nests import Nest, nest, transfer_nest
from triovit.machine.partitions import Stripes, is_striped
from triovit.machine.walk import Walk


class Access(NamedTuple):
    """Distinct words of one space; memory in words of a partition, with the first core's image."""

    space: str
    words: np.ndarray
    write: bool


def accesses(config: AcceleratorConfig, i: Instruction, unit: Unit) -> Iterator[Access]:
    """What `unit` touches for a LOAD, STORE or computation; of a joint convolution each engine's unit its part."""
    if i.opcode in (Opcode.LOAD, Opcode.STORE):
        loops, load = transfer_nest(i, config.block), i.opcode == Opcode.LOAD
        yield Access(loops.local.space, loops.local.distinct(loops.counts), load)
        words = loops.memory.distinct(loops.counts)
        if is_striped(i):
            words = np.unique(Stripes(config, config.block).inside(words))
        yield Access(loops.memory.space, words, not load)
        return
    loops = nest(i, config.block, unit)
    for walk in _reads(loops, i):
        yield Access(walk.space, walk.distinct(loops.counts), False)
    for space, walk in _writes(loops, i):
        yield Access(space, walk.distinct(loops.counts), True)


def _reads(loops: Nest, i: Instruction) -> Iterator[Walk]:
    if loops.fetches:
        yield loops.features
    for walk in (loops.values, loops.weights):
        if walk is not None:
            yield walk
    yield loops.records
    if i.residual:
        yield loops.out
    if i.mode == PostMode.DIVIDE:
        yield loops.operand("code")


def _writes(loops: Nest, i: Instruction) -> Iterator[tuple[str, Walk]]:
    for space in ("O", "A"):
        if i.destination & Destination[space]:
            yield space, loops.out
            if loops.high is not None:
                yield space, loops.high
    if i.destination & Destination.K:
        yield "K", loops.operand("kept")
    if i.destination & Destination.DIVISOR:
        yield "divisor", loops.operand("code")
