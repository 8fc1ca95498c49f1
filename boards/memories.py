"""What the memories of a machine take of an FPGA, exactly: block RAMs, and LUTs that serve as memory.

The rules are Yosys' mapping of `hdl/memory/ram.v`; tests/boards/test_memories.py runs it on RAMs of many shapes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from amaranth.utils import ceil_log2

from triovit.boards.devices import Family
from triovit.boards.measurements import CORE, SHARED
from triovit.hdl.bus.axi4 import read_beat, write_beat
from triovit.hdl.compute.results import INSTRUCTIONS_IN_FLIGHT
from triovit.hdl.compute.row_queue import queue_depth
from triovit.hdl.compute.steps import RESULT
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.config.buffers import buffers, copies
from triovit.hdl.config.engines import engines_of
from triovit.hdl.control.prefetch import PREFETCH_INSTRUCTIONS
from triovit.hdl.dma.bursts import listed_bits
from triovit.hdl.dma.load import PORT_AHEAD
from triovit.hdl.dma.store import BEAT_BUFFER
from triovit.hdl.integrity.secded import coded_bits
from triovit.hdl.isa.engines import Space
from triovit.hdl.isa.instructions import INSTRUCTION_BYTES, SEMAPHORES
from triovit.hdl.isa.layouts import INDEX_BITS, INSTRUCTION_BITS

# Block RAMs of a family as (words, bits of a word, share of a block RAM): one write port, one read port.
SHAPES = {
    Family.XILINX: (
        *((512 << k, bits, 0.5) for k, bits in enumerate((36, 18, 9, 4, 2, 1))),
        *((512 << k, bits, 1) for k, bits in enumerate((72, 36, 18, 9, 4, 2, 1))),
    ),
    Family.ECP5: tuple((512 << k, bits, 1) for k, bits in enumerate((36, 18, 9, 4, 2, 1))),
}
# The same made of LUTs: words, bits, LUTs.
LUT_SHAPES = {Family.XILINX: ((32, 14, 8), (64, 7, 8)), Family.ECP5: ((16, 4, 6),)}
# Up to so many words, or bits in all, a RAM is made of LUTs.
SMALL = {Family.XILINX: (64, 2048), Family.ECP5: (32, 1024)}


class Memory(NamedTuple):
    """RAMs of one kind: how many, bits and number of their words, parts of a word with a strobe of their own.

    luts: made of LUTs whatever its size; else, when small.
    """

    number: int
    width: int
    depth: int
    parts: int = 1
    luts: bool = False


def block_rams(memory: Memory, family: Family) -> float:
    """Block RAMs of a memory; none when it is made of LUTs."""
    if _of_luts(memory, family):
        return 0
    return memory.number * min(
        -(-memory.width // bits) * -(-memory.depth // words) * share for words, bits, share in SHAPES[family]
    )


def memory_luts(memory: Memory, family: Family) -> int:
    """LUTs that a memory is made of; none when it is made of block RAMs."""
    if not _of_luts(memory, family):
        return 0
    part = memory.width // memory.parts
    return (
        memory.number
        * memory.parts
        * min(-(-part // bits) * -(-memory.depth // words) * luts for words, bits, luts in LUT_SHAPES[family])
    )


def _of_luts(memory: Memory, family: Family) -> bool:
    words, bits = SMALL[family]
    return memory.luts or memory.depth <= words or memory.width * memory.depth <= bits


def all_memory_luts(config: AcceleratorConfig, family: Family) -> int:
    """LUTs of a whole machine that serve as memory, shift registers excepted."""
    numbers = {CORE: config.cores, SHARED: 1}
    return sum(
        number * memory_luts(memory, family) for part, number in numbers.items() for memory in memories(config, part)
    )


# ---- all memories of a machine ----
def memories(config: AcceleratorConfig, part: str) -> list[Memory]:
    """Memories of each core, or of what exists once."""
    return list(_core(config) if part == CORE else _shared(config))


def _core(config: AcceleratorConfig) -> Iterator[Memory]:
    """Buffers of a core, its queues of rows, and the rows that the R-MAC engine keeps."""
    row = config.block * config.accumulator_bits
    yield from _buffers(config, shared=False)
    yield Memory(_computing(config), row + config.integrity, queue_depth(config), luts=True)
    yield Memory(1, row, config.block, luts=True)


def _shared(config: AcceleratorConfig) -> Iterator[Memory]:
    """Buffers that all cores share, and the first-in first-out memories of control and DMA."""
    computing, burst, ports = _computing(config), listed_bits(config), config.ports
    prefetched = max(2, PREFETCH_INSTRUCTIONS * INSTRUCTION_BYTES // config.data_bytes)
    yield from _buffers(config, shared=True)
    yield Memory(1, 8 * config.data_bytes + 2, prefetched, luts=True)  # a beat, response
    for number, width, depth in (
        (len(engines_of(config)), INSTRUCTION_BITS + INDEX_BITS, config.queue_depth),
        (computing, RESULT.size, queue_depth(config)),
        (computing, SEMAPHORES + INDEX_BITS, INSTRUCTIONS_IN_FLIGHT),
        (ports, 1 + 8, config.read_bursts),  # of FETCH or of LOAD, length
        (ports, 8, config.write_bursts),  # length
        (1, burst, config.read_bursts),
        (1, burst, config.write_bursts),
        (1, 1 + INDEX_BITS + SEMAPHORES, config.write_bursts),  # who is answered
        (ports, write_beat(config.data_bytes).size, BEAT_BUFFER),
        # Several ports wait for each other.
        (ports if ports > 1 else 0, read_beat(config.data_bytes).size, PORT_AHEAD),
        (ports if ports > 1 else 0, 2, config.write_bursts),  # response
    ):
        yield Memory(number, width + config.integrity, depth, luts=True)


def _computing(config: AcceleratorConfig) -> int:
    return sum(engine.computes for engine in engines_of(config))


def _buffers(config: AcceleratorConfig, *, shared: bool) -> Iterator[Memory]:
    """A RAM for each bank; of K one for each column, in which every lane has a strobe."""
    several = AcceleratorConfig(cores=2)
    for space, shape in buffers(config).items():
        if shared == (copies(space, several) == 1):
            number, width, parts = shape.banks, shape.word_bits, 1
            luts = shape.style == "distributed" or space is Space.DIVISOR
            if space is Space.K:
                number, width, parts = config.block, (8 + config.integrity) * shape.banks, shape.banks
            elif space is Space.DIVISOR:
                width += config.integrity
            elif config.integrity:
                width = coded_bits(width)
            yield Memory(number, width, shape.words // shape.banks, parts, luts)


# ---- words between banks and lanes ----
def multiplexers(config: AcceleratorConfig) -> dict[str, int]:
    """Two-way multiplexers of a bit around the buffers, in each core and in what cores share.

    A core chooses result or beat in front of A and O, rotates A's window (a rotation has log2 stages) and picks a word
    of O. Once there are the rotations of a LOAD's and a STORE's beat, the choice of the core that a STORE reads, and of
    a word of B; several ports have rotations and choices of their own, beside that of a LOAD of all of them.
    """
    shapes, bits, beat, bus = buffers(config), 8 * config.block, config.beat_words, config.bus_words
    a, o, b = (shapes[space].banks for space in (Space.A, Space.O, Space.B))
    core = 2 * beat + a * ceil_log2(a) + o - 1
    rotations = bus * ceil_log2(bus) + (1 if config.ports == 1 else 2) * bus * ceil_log2(beat)
    shared = rotations + (config.cores - config.ports) * beat + b - 1
    return {CORE: bits * core, SHARED: bits * shared}
