"""RAM of coded words: what a bank of a buffer is with `integrity`."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.integrity.secded import SecdedDecoder, coded_bits, judge
from triovit.hdl.memory.ram import Ram
from triovit.hdl.memory.shapes import row_bits


class SecdedRam(wiring.Component):
    """RAM of `depth` words of `width` bits that corrects one flipped bit in each 64 bits, and finds two.

    The decoder stands between the array and the register behind it, which block RAMs would have in them: so a read
    takes as long as that of a `Ram` of latency 2. What the syndrome means is found out behind that register.

    Parameters: width (1..1024), depth (2..2**24), style: as of `Ram`; width without check bits.
    Members:
      write_en (In, 1), write_address (In), write_data (In, coded_bits(width)): a coded word, as `SecdedEncoder` makes
      it, so that banks can share the encoder.
      read_en (In, 1), read_address (In), read_data (Out, width): as of `Ram`.
      corrected, failed (Out, 1): in the first cycle of `read_data`, see `SecdedDecoder`; 0 in others.
    Latency: `latency = 2`, initiation interval 1 on both ports. The word in the array is not written back.
    Numerics: none.
    Raises: TypeError or ValueError for a parameter outside its range.
    Source: ours.
    """

    write_en: Signal
    write_address: Signal
    write_data: Signal
    read_en: Signal
    read_address: Signal
    read_data: Signal
    corrected: Signal
    failed: Signal

    latency = 2

    def __init__(self, width: int, depth: int, style: str = "auto"):
        self.ram = Ram(coded_bits(width), depth, style, latency=1)
        self.decoder = SecdedDecoder(width)
        address = row_bits(depth, 1)
        super().__init__(
            {
                "write_en": In(1),
                "write_address": In(address),
                "write_data": In(coded_bits(width)),
                "read_en": In(1),
                "read_address": In(address),
                "read_data": Out(width),
                "corrected": Out(1),
                "failed": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.ram, m.submodules.decoder = ram, decoder = self.ram, self.decoder
        shown = Signal(self.read_data.shape(), name="output_data", reset_less=True)
        syndrome = Signal(decoder.syndrome.shape(), name="output_syndrome", reset_less=True)
        fresh = Signal(2)  # what the array, and the register behind it, show has just been read
        corrected, failed = judge(syndrome, len(shown))
        m.d.comb += [
            ram.write_en.eq(self.write_en),
            ram.write_address.eq(self.write_address),
            ram.write_data.eq(self.write_data),
            ram.read_en.eq(self.read_en),
            ram.read_address.eq(self.read_address),
            decoder.i.eq(ram.read_data),
            self.read_data.eq(shown),
            self.corrected.eq(fresh[1] & corrected),
            self.failed.eq(fresh[1] & failed),
        ]
        m.d.sync += [fresh.eq(Cat(self.read_en, fresh)), shown.eq(decoder.o), syndrome.eq(decoder.syndrome)]
        return m
