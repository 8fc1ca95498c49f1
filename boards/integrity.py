"""What codes of stored words take of an FPGA beside the RAMs: LUTs of encoders, decoders and parity sums.

Counts of coders follow from the structure, cells of one are what Yosys gave in a `BankArray`.
"""

from __future__ import annotations

from triovit.boards.devices import Family
from triovit.boards.measurements import CORE, SHARED
from triovit.boards.memories import Memory, memories
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.config.buffers import buffers
from triovit.hdl.integrity.secded import pieces
from triovit.hdl.isa.engines import Space

# LUTs of an encoder and of a decoder by the data bits of its code.
ENCODER = {Family.XILINX: {32: 21, 64: 61}, Family.ECP5: {32: 65, 64: 118}}
DECODER = {Family.XILINX: {32: 105, 64: 198}, Family.ECP5: {32: 144, 64: 308}}
SUM = {Family.XILINX: 5, Family.ECP5: 3}  # further bits that a LUT adds to a parity
BANKED = {CORE: (Space.A, Space.O), SHARED: (Space.B, Space.C, Space.P)}


def integrity_luts(config: AcceleratorConfig, family: Family, part: str) -> int:
    """LUTs that `integrity` adds to each core, or to what exists once; 0 without."""
    if not config.integrity:
        return 0
    shapes = buffers(config)
    coders = 0
    for space in BANKED[part]:
        shape = shapes[space]
        for bits in pieces(shape.word_bits):
            coders += shape.write_width * ENCODER[family][bits] + shape.banks * DECODER[family][bits]
    # What is made of LUTs has parity: written and read, a sum for each part of a word.
    return coders + sum(2 * _sum(memory, family) for memory in memories(config, part) if memory.luts)


def _sum(memory: Memory, family: Family) -> int:
    return memory.number * -(-memory.width // SUM[family])
