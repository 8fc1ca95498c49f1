"""What the on-chip memories take of an FPGA: block RAMs, exactly, and the multiplexers between banks and words.

The rules are Yosys' mapping of `hdl/memory/ram.v`; tests/boards/test_memories.py runs it on RAMs of many shapes.
"""

from __future__ import annotations

from amaranth.utils import ceil_log2

from triovit.boards.devices import Family
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.config.buffers import buffers, copies
from triovit.hdl.isa.engines import Space

# Block RAMs of a family as (words, bits of a word, share of a block RAM): one write port, one read port.
SHAPES = {
    Family.XILINX: (
        *((512 << k, bits, 0.5) for k, bits in enumerate((36, 18, 9, 4, 2, 1))),
        *((512 << k, bits, 1) for k, bits in enumerate((72, 36, 18, 9, 4, 2, 1))),
    ),
    Family.ECP5: tuple((512 << k, bits, 1) for k, bits in enumerate((36, 18, 9, 4, 2, 1))),
}
# Up to so many words, or bits in all, a RAM is made of LUTs.
SMALL = {Family.XILINX: (64, 2048), Family.ECP5: (32, 1024)}


def block_rams(width: int, depth: int, family: Family) -> float:
    """Block RAMs of one RAM of `depth` words of `width` bits."""
    words, bits = SMALL[family]
    if depth <= words or width * depth <= bits:
        return 0
    return min(-(-width // w) * -(-depth // d) * share for d, w, share in SHAPES[family])


def all_block_rams(config: AcceleratorConfig, family: Family) -> float:
    """Block RAMs of a configuration: nothing but the buffers is in them."""
    return sum(
        copies(space, config) * shape.banks * block_rams(shape.word_bits, shape.words // shape.banks, family)
        for space, shape in buffers(config).items()
        if shape.style != "distributed"
    )


def multiplexers(config: AcceleratorConfig) -> dict[str, int]:
    """Two-way multiplexers of a bit around the buffers, in each core and in what cores share.

    A core chooses result or beat in front of A and O, rotates A's window (a rotation has log2 stages) and picks a word
    of O. Once there are the rotations of a LOAD's and a STORE's beat, the choice of the core that a STORE reads, and of
    a word of B.
    """
    shapes, bits, beat = buffers(config), 8 * config.block, config.beat_words
    a, o, b = (shapes[space].banks for space in (Space.A, Space.O, Space.B))
    core = 2 * beat + a * ceil_log2(a) + o - 1
    shared = 2 * beat * ceil_log2(beat) + (config.cores - 1) * beat + b - 1
    return {"core": bits * core, "shared": bits * shared}
