"""Column memory: rows of words, whose bytes leave in step with a cascade of multipliers."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.memory.ram import Ram
from triovit.hdl.memory.shapes import check_power, row_bits
from triovit.hdl.validation import check_integer


class ColumnMemory(wiring.Component):
    """Rows of `lanes` words; a read gives byte m of every word of a row, column m, m cycles after column 0.

    So weights stand before multiplier m of a lane when the sum of multiplier m - 1 does. A skewed address costs a
    register of a row's number; skewed words would cost `lanes` bytes for each cycle. Every column is a RAM of its own.

    Parameters
    ----------
    words : int, a multiple of `lanes`, 2 * lanes..2**24
        Capacity.
    lanes : int, power of two, 1..128
        Words of a row; the word at address n is in row n div `lanes`, lane n mod `lanes`.
    columns : int, 1..128
        Bytes of a word.
    style : str
        See `Ram`.
    parity : bool
        Every byte has a parity bit.

    Members
    -------
    write_en : In(lanes), write_row : In(row_bits), write_data : In(ArrayLayout(signed(8), columns))
        The word is written to these lanes of a row.
    read_en : In(1), read_row : In(row_bits)
    read_data : Out(ArrayLayout(ArrayLayout(signed(8), columns), lanes))
        [lane][column]: column m shows its row `latency + m` cycles after `read_en`, until the next read's.
    used : In(lanes), failed : Out(1), with `parity` only
        Lanes of a row whose words matter, in the cycle of `read_en`; one of their bytes has an odd number of flipped
        bits, `alarm_latency = 1` cycle after it is shown.

    Latency: `latency = 2` to column 0, initiation interval 1 on both ports. Column m of a read in cycle t sees what was
    written up to cycle t + m; what is written in cycle t + m + 1 is undefined there. So a row must not be written
    sooner than `columns` + 1 cycles after a read that wants its old value. There is no row beyond `words`: a write to
    it is lost, a read of it undefined.

    Numerics: none.

    Raises: TypeError or ValueError for a parameter outside its range.

    Source: ours; the alignment of operands that the cascades of Trio-ViT's down-forward mode (arXiv 2405.03882) imply.
    """

    write_en: Signal
    write_row: Signal
    write_data: data.View
    read_en: Signal
    read_row: Signal
    read_data: data.View
    used: Signal
    failed: Signal

    latency = 2
    alarm_latency = 1

    def __init__(self, words: int, lanes: int, columns: int, style: str = "distributed", *, parity: bool = False):
        self.lanes = check_power("lanes", lanes, 1, 128)
        self.columns = check_integer("columns", columns, 1, 128)
        self.words = check_integer("words", words, 2 * lanes, 1 << 24)
        if words % lanes:
            raise ValueError(f"words must be a multiple of the {lanes} lanes, not {words}")
        self.parity = parity
        self.part = 9 if parity else 8  # bits of a byte in the RAMs
        self.rams = [Ram(self.part * lanes, words // lanes, style, parts=lanes) for _ in range(columns)]
        row = row_bits(words, lanes)
        word = data.ArrayLayout(signed(8), columns)
        super().__init__(
            {
                "write_en": In(lanes),
                "write_row": In(row),
                "write_data": In(word),
                "read_en": In(1),
                "read_row": In(row),
                "read_data": Out(data.ArrayLayout(word, lanes)),
                **({"used": In(lanes), "failed": Out(1)} if parity else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        en, row = self.read_en, self.read_row
        for column, ram in enumerate(self.rams):
            m.submodules[f"column{column}"] = ram
            before_en, before_row = en, row
            en = Signal(name=f"read_en_{column}")
            row = Signal.like(self.read_row, name=f"read_row_{column}", reset_less=True)
            m.d.sync += [en.eq(before_en), row.eq(before_row)]
            byte = self.write_data[column].as_unsigned()
            m.d.comb += [
                ram.write_en.eq(self.write_en),
                ram.write_address.eq(self.write_row),
                ram.write_data.eq((Cat(byte, byte.xor()) if self.parity else byte).replicate(self.lanes)),
                ram.read_en.eq(en),
                ram.read_address.eq(row),
                *(
                    self.read_data[lane][column].eq(ram.read_data[self.part * lane :][:8].as_signed())
                    for lane in range(self.lanes)
                ),
            ]
        if self.parity:
            self._check(m)
        return m

    def _check(self, m):
        """Bytes of a row are checked as they are shown, those of the lanes that are used."""
        used, bad = Mux(self.read_en, self.used, 0), Signal(self.columns)
        for column, ram in enumerate(self.rams):
            # The row's number is a register late, and what the RAM shows another one.
            for stage in range(1 if column else 2):
                before, used = used, Signal(self.lanes, name=f"used_{column}_{stage}", reset_less=True)
                m.d.sync += used.eq(before)
            odd = Cat(ram.read_data[self.part * lane :][: self.part].xor() for lane in range(self.lanes))
            m.d.sync += bad[column].eq((odd & used).any())
        m.d.comb += self.failed.eq(bad.any())
