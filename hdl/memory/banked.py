"""Banked memory: several consecutive words, from any address, in one access."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from triovit.hdl.memory.ram import Ram
from triovit.hdl.validation import check_integer


def _check_power(name: str, value: int, low: int, high: int) -> int:
    check_integer(name, value, low, high)
    if value & (value - 1):
        raise ValueError(f"{name} must be a power of two, not {value}")
    return value


class BankedMemory(wiring.Component):
    """Memory with linear word addresses; the word at address n is in bank n mod `banks`, row n div `banks`.

    Words `address` to `address + width - 1` are in different banks whatever the address is, so an unaligned window is
    one access. So is a window of every second word, of half as many words.

    Parameters
    ----------
    words : int, a multiple of `banks`, 2 * banks..2**24
        Capacity.
    banks : int, power of two, 1..128
        RAMs; at least `write_width` and `read_width`.
    word_bits : int, 1..1024
    write_width, read_width : int, power of two
        Words a write and a read.
    strides : (1,) or (1, 2)
        Address steps that a read can take from lane to lane.

    Members
    -------
    write_en : In(1)
    write_address : In(log2(words))
        Address of lane 0.
    write_data : In(ArrayLayout(word_bits, write_width))
        Lane j goes to `write_address + j`.
    write_mask : In(write_width)
        Lanes to write.
    read_en : In(1)
    read_address : In(log2(words))
    read_double : In(1), only when 2 is in `strides`
        The step is 2.
    read_data : Out(ArrayLayout(word_bits, read_width))
        Lane i is the word at `read_address + i * step`, one cycle after `read_en`; kept while `read_en` is low. With
        step 2 the first `banks / 2` lanes are.

    Addresses wrap modulo their bits; whether they are in range is checked where they are made.

    Latency: `latency = 1`, initiation interval 1 on both ports. A word read in the cycle it is written gives its old
    value; a read one cycle later gives the new one.

    Numerics: none.

    Raises: TypeError or ValueError for a parameter outside its range.

    Source: ours; the window is what depthwise convolutions read from buffer A of Trio-ViT (arXiv 2405.03882).
    """

    write_en: Signal
    write_address: Signal
    write_data: data.View
    write_mask: Signal
    read_en: Signal
    read_address: Signal
    read_data: data.View
    read_double: Signal  # with strides (1, 2) only

    latency = 1

    def __init__(
        self, words: int, banks: int, word_bits: int, write_width: int, read_width: int, strides=(1,), style="auto"
    ):
        self.banks = _check_power("banks", banks, 1, 128)
        self.words = check_integer("words", words, 2 * banks, 1 << 24)
        if words % banks:
            raise ValueError(f"words must be a multiple of the {banks} banks, not {words}")
        self.word_bits = check_integer("word_bits", word_bits, 1, 1024)
        if tuple(strides) not in ((1,), (1, 2)):
            raise ValueError(f"strides must be (1,) or (1, 2), not {strides!r}")
        self.strides = tuple(strides)
        self.write_width = _check_power("write_width", write_width, 1, banks)
        self.read_width = _check_power("read_width", read_width, 1, banks)
        self._rams = [Ram(word_bits, words // banks, style) for _ in range(banks)]
        members = {
            "write_en": In(1),
            "write_address": In(ceil_log2(words)),
            "write_data": In(data.ArrayLayout(word_bits, write_width)),
            "write_mask": In(write_width),
            "read_en": In(1),
            "read_address": In(ceil_log2(words)),
            "read_data": Out(data.ArrayLayout(word_bits, read_width)),
        }
        if 2 in self.strides:
            members["read_double"] = In(1)
        super().__init__(members)

    def _split(self, m, name: str, address):
        """(bank of lane 0, row of each bank) of an access: banks below the first lane's hold the next row."""
        bits = ceil_log2(self.banks)
        row_bits = ceil_log2(self.words) - bits
        shift = Signal(bits, name=f"{name}_shift")
        row, next_row = Signal(row_bits, name=f"{name}_row"), Signal(row_bits, name=f"{name}_next_row")
        below = Signal(self.banks, name=f"{name}_below")
        m.d.comb += [
            shift.eq(address[:bits]),
            row.eq(address[bits:]),
            next_row.eq(row + 1),
            below.eq((1 << shift) - 1),
        ]
        return shift, [Mux(below[bank], next_row, row) for bank in range(self.banks)]

    def _write(self, m):
        shift, rows = self._split(m, "write", self.write_address)
        # Lane j repeated every write_width banks: then only a rotation among write_width words is left, and the mask
        # says which of the copies count.
        lanes = [self.write_data[lane] for lane in range(self.write_width)]
        for stage in range(ceil_log2(self.write_width)):
            step = 1 << stage
            rotated = [Signal(self.word_bits, name=f"write_{stage}_{lane}") for lane in range(self.write_width)]
            m.d.comb += [
                rotated[lane].eq(Mux(shift[stage], lanes[(lane - step) % self.write_width], lanes[lane]))
                for lane in range(self.write_width)
            ]
            lanes = rotated
        spread = Signal(2 * self.banks)
        select = Signal(self.banks)
        m.d.comb += [
            spread.eq(Mux(self.write_en, self.write_mask, 0) << shift),
            select.eq(spread[: self.banks] | spread[self.banks :]),
        ]
        for bank, ram in enumerate(self._rams):
            m.d.comb += [
                ram.write_en.eq(select[bank]),
                ram.write_address.eq(rows[bank]),
                ram.write_data.eq(lanes[bank % self.write_width]),
            ]

    def _read(self, m):
        shift, rows = self._split(m, "read", self.read_address)
        for bank, ram in enumerate(self._rams):
            m.d.comb += [ram.read_en.eq(self.read_en), ram.read_address.eq(rows[bank])]
        held = Signal(len(shift), reset_less=True)
        with m.If(self.read_en):
            m.d.sync += held.eq(shift)
        made = {}

        def rotated(stage: int, lane: int):
            """Word `lane` rotated by the bits of `held` from `stage` upwards; only what is needed is built."""
            lane %= self.banks
            if stage == len(held):
                return self._rams[lane].read_data
            if (stage, lane) not in made:
                made[stage, lane] = word = Signal(self.word_bits, name=f"read_{stage}_{lane}")
                further = rotated(stage + 1, lane + (1 << stage))
                m.d.comb += word.eq(Mux(held[stage], further, rotated(stage + 1, lane)))
            return made[stage, lane]

        lanes = [rotated(0, lane) for lane in range(self.read_width)]
        if 2 in self.strides:
            double = Signal(reset_less=True)
            with m.If(self.read_en):
                m.d.sync += double.eq(self.read_double)
            lanes = [Mux(double, rotated(0, 2 * lane), word) for lane, word in enumerate(lanes)]
        m.d.comb += self.read_data.as_value().eq(Cat(lanes))

    def elaborate(self, platform):
        m = Module()
        for bank, ram in enumerate(self._rams):
            m.submodules[f"bank{bank}"] = ram
        self._write(m)
        self._read(m)
        return m
