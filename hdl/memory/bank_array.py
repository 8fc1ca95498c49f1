"""Banks of RAM side by side, each with an address of its own."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.integrity.secded import SecdedEncoder
from triovit.hdl.memory.ram import Ram
from triovit.hdl.memory.secded_ram import SecdedRam
from triovit.hdl.memory.shapes import check_banks, row_bits


class BankArray(wiring.Component):
    """`banks` RAMs; the word at address n is in bank n mod `banks`, row n div `banks`.

    Buffers A, O, B, C and P of a machine are one each. What it takes to read or write a window of words, `BankSelect`
    makes once for all cores; a `Rotator` brings words from banks to lanes and back.

    Parameters
    ----------
    words : int, a multiple of `banks`, 2 * banks..2**24
        Capacity.
    banks : int, power of two, 1..128
    word_bits : int, 1..1024
    write_width : int, power of two, 1..banks
        Words of the write port.
    style : str
        See `Ram`.
    secded : bool
        Words have check bits: see `SecdedRam`.

    Members
    -------
    write_en : In(banks), write_rows : In(ArrayLayout(row_bits, banks))
        Banks to write, and the row of each.
    write_data : In(ArrayLayout(word_bits, write_width))
        Bank b takes word b mod `write_width`.
    read_en : In(banks), read_rows : In(ArrayLayout(row_bits, banks))
        Banks to read, and the row of each.
    read_data : Out(ArrayLayout(word_bits, banks))
        Bank b's word, `latency` cycles after `read_en[b]`; each bank keeps its word until its next read.
    corrected, failed : Out(1), with `secded` only
        Words that any bank shows from this cycle on were corrected, or could not be.

    Latency: `latency = 2`, initiation interval 1 on both ports. A word read in the cycle it is written is
    undefined. There is no row beyond `words`: a write to it is lost, a read of it undefined.

    Numerics: none.

    Raises: TypeError or ValueError for a parameter outside its range.

    Source: ours; a window is what depthwise convolutions read from buffer A of Trio-ViT (arXiv 2405.03882).
    """

    write_en: Signal
    write_rows: data.View
    write_data: data.View
    read_en: Signal
    read_rows: data.View
    read_data: data.View
    corrected: Signal
    failed: Signal

    latency = 2

    def __init__(
        self, words: int, banks: int, word_bits: int, write_width: int, style: str = "auto", *, secded: bool = False
    ):
        self.words, self.banks, self.write_width = check_banks(words, banks, write_width)
        self.word_bits, self.secded = word_bits, secded
        self.rams: list[Any] = [
            SecdedRam(word_bits, words // banks, style)
            if secded
            else Ram(word_bits, words // banks, style, latency=self.latency)
            for _ in range(banks)
        ]
        rows = data.ArrayLayout(row_bits(words, banks), banks)
        super().__init__(
            {
                "write_en": In(banks),
                "write_rows": In(rows),
                "write_data": In(data.ArrayLayout(word_bits, write_width)),
                "read_en": In(banks),
                "read_rows": In(rows),
                "read_data": Out(data.ArrayLayout(word_bits, banks)),
                **({"corrected": Out(1), "failed": Out(1)} if secded else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        written = self._encoded(m) if self.secded else self.write_data
        for bank, ram in enumerate(self.rams):
            m.submodules[f"bank{bank}"] = ram
            m.d.comb += [
                ram.write_en.eq(self.write_en[bank]),
                ram.write_address.eq(self.write_rows[bank]),
                ram.write_data.eq(written[bank % self.write_width]),
                ram.read_en.eq(self.read_en[bank]),
                ram.read_address.eq(self.read_rows[bank]),
                self.read_data[bank].eq(ram.read_data),
            ]
        if self.secded:
            m.d.comb += [
                self.corrected.eq(Cat(ram.corrected for ram in self.rams).any()),
                self.failed.eq(Cat(ram.failed for ram in self.rams).any()),
            ]
        return m

    def _encoded(self, m) -> list[Signal]:
        """The words of the write port with their check bits."""
        written = []
        for lane in range(self.write_width):
            m.submodules[f"encoder{lane}"] = encoder = SecdedEncoder(self.word_bits)
            m.d.comb += encoder.i.eq(self.write_data[lane])
            written.append(encoder.o)
        return written
