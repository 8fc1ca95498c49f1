"""What the on-chip memories take of an FPGA: block RAMs, exactly, and the multiplexers between banks and words.

The rules are Yosys' mapping of `hdl/memory/ram.v`; tests/boards/test_memories.py runs it on RAMs of many shapes.
"""

from __future__ import annotations

from amaranth.utils import ceil_log2

from triovit.boards.devices import Family
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.config.buffers import Banks, buffers, copies

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


def multiplexers(shape: Banks) -> int:
    """Two-way multiplexers of a bit that bring the words of a write to their banks and those of a read to their lanes.

    A rotation has log2 stages; of a read's only what its lanes need is built (docs/engines/banked-memory.md).
    """
    write = shape.write_width * ceil_log2(shape.write_width)
    lanes = min(shape.banks, shape.read_width * max(shape.strides))
    read = sum(min(shape.banks, lanes + (1 << stage) - 1) for stage in range(ceil_log2(shape.banks)))
    doubled = shape.read_width * (len(shape.strides) - 1)
    return shape.word_bits * (write + read + doubled)
