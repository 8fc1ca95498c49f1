"""Writes of a buffer that every core has: a result first, else a LOAD's beat."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from triovit.hdl.memory.bank_select import BankSelect
from triovit.hdl.validation import check_integer


class WriteSelect(wiring.Component):
    """Banks, rows and strobes of the write ports of a buffer in all cores.

    A result is one word for each core, at the same address. A LOAD's beat is `width` words for one core. A core's port
    takes its result on every word, or the beat in the order of the banks (`Rotator`, once for all cores), as
    `from_result` says.

    Parameters
    ----------
    words, banks : int
        Of the `BankArray`.
    width : int, power of two, 1..banks
        Words of a beat.
    cores : int, 1..64

    Members
    -------
    result_en : In(1), result_address : In(bits of words - 1)
        A result in this cycle.
    load_en : In(1), load_core : In(bits of cores - 1), load_address : In(bits of words - 1), load_mask : In(width)
        A beat that wants to be written: its core, the address of its first word modulo the memory's bits, and its words
        in the order of addresses.
    load_ready : Out(1)
        The beat is written: there is no result.
    enables : Out(ArrayLayout(banks, cores)), rows : Out(ArrayLayout(row_bits, banks))
        Banks to write in each core; rows are the same in all.
    from_result : Out(1)

    Latency: 0 (combinational). Addresses are checked where they are made.

    Numerics: none.

    Raises: TypeError or ValueError for a parameter outside its range.

    Source: ours.
    """

    result_en: Signal
    result_address: Signal
    load_en: Signal
    load_core: Signal
    load_address: Signal
    load_mask: Signal
    load_ready: Signal
    enables: data.View
    rows: data.View
    from_result: Signal

    def __init__(self, words: int, banks: int, width: int, cores: int):
        self.cores = check_integer("cores", cores, 1, 64)
        self.select = BankSelect(words, banks, width)
        members = self.select.signature.members
        super().__init__(
            {
                "result_en": In(1),
                "result_address": members["address"],
                "load_en": In(1),
                "load_core": In(max(1, ceil_log2(cores))),
                "load_address": members["address"],
                "load_mask": In(width),
                "load_ready": Out(1),
                "enables": Out(data.ArrayLayout(banks, cores)),
                "rows": members["rows"],
                "from_result": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.select = select = self.select
        m.d.comb += [
            self.load_ready.eq(~self.result_en),
            self.from_result.eq(self.result_en),
            select.address.eq(Mux(self.result_en, self.result_address, self.load_address)),
            select.mask.eq(Mux(self.result_en, 1, Mux(self.load_en, self.load_mask, 0))),
            self.rows.eq(select.rows),
        ]
        for core in range(self.cores):
            written = self.result_en | (self.load_core == core)
            m.d.comb += self.enables[core].eq(Mux(written, select.enables, 0))
        return m
