"""Two multiply-accumulators with a shared operand in one multiplier."""

from __future__ import annotations

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, enum, wiring

from triovit.hdl.multiplier.dsp48e2 import OFFSET, PackedMultiplier
from triovit.hdl.multiplier.dsp48e2 import P as ACCUMULATOR
from triovit.hdl.multiplier.pair import LATENCY, SUM, Addend, MultiplierPair, Number, check_terms, ports

COUNTS = OFFSET + SUM.width
"""Bits that count of p: the lower sum's OFFSET, and those of the upper one."""
PLAIN = 8
"""Products of -127..127 and -128..127 whose sum fits OFFSET bits."""


def _sum(a: Value, b: Value) -> Value:
    """a + b modulo 4, without a carry chain."""
    return Cat(a[0] ^ b[0], a[1] ^ b[1] ^ (a[0] & b[0]))


class PackedPair(wiring.Component):
    """A `MultiplierPair` with one DSP48E2: same members, latency and sums.

    p = sum 1 * 2**18 + sum 0. A lower sum of more than 18 bits reaches into the upper half, which then holds sum 1 + c
    with c = floor(sum 0 / 2**18). What c was is known modulo 4 when sum 1 is: a few gates beside the multiplier follow
    sum 1 in its two lowest bits. c is -2..1, so that gives sums of 20 bits. Where sum 0 keeps to 18 bits, in sums of up
    to 8 products, c is minus its sign bit and nothing has to be followed.

    Parameters
    ----------
    own, chain : int, 1..31
        As in `MultiplierPair`. Products of a sum of up to 8 have one factor in -127..127 (8 * 127 * 128 < 2**17).
    cascaded : bool

    Members, latency: as in `MultiplierPair`; `cascade_in` is 48 bits for PCIN and the two bits that are followed.

    Raises: TypeError or ValueError for a parameter outside its range.

    Source: Trio-ViT (arXiv 2405.03882), two 8-bit multiplications a DSP; the packing and its sums are ours.
    """

    a: data.View
    b: Signal
    en: Signal
    addend: enum.EnumView
    cascade_in: Signal
    cascade_out: Signal
    sums: Signal

    latency = LATENCY
    model = staticmethod(MultiplierPair.model)

    def __init__(self, own: int, chain: int, cascaded: bool = True):
        check_terms(own, chain)
        self.cascaded = cascaded
        self._follows_chain = chain > PLAIN
        self._follows = own > PLAIN or self._follows_chain
        super().__init__(ports(ACCUMULATOR + 2 * self._follows_chain))

    @staticmethod
    def unpack(sums: Value, terms: int) -> tuple[Number, Number]:
        """Sum 0 and sum 1 of up to `terms` products: `own` of them, or `chain`."""
        low = sums[:OFFSET]
        if terms <= PLAIN:  # both have 18 bits, the upper half a borrow besides
            return (low.as_signed(), 0), (sums[OFFSET : 2 * OFFSET + 1].as_signed(), low[-1])
        high, followed = sums[OFFSET:COUNTS], sums[COUNTS:]
        # c = high - followed modulo 4 is -2..1; the correction is -c.
        c = _sum(high[:2], _sum(~followed, C(1, 2)))
        minus = _sum(~c, C(1, 2))
        return (Cat(low, c).as_signed(), 0), (high.as_signed(), Cat(minus, minus.all()).as_signed())

    def elaborate(self, platform):
        m = Module()
        m.submodules.multiplier = multiplier = PackedMultiplier(self.cascaded)
        m.d.comb += [
            multiplier.a.eq(self.a),
            multiplier.b.eq(self.b),
            multiplier.en.eq(self.en),
            multiplier.addend.eq(self.addend),
            multiplier.cascade_in.eq(self.cascade_in[:ACCUMULATOR]),
        ]
        followed = self._follow(m) if self._follows else ()
        m.d.comb += [
            self.cascade_out.eq(Cat(multiplier.cascade_out, followed if self._follows_chain else ())),
            self.sums.eq(Cat(multiplier.p[:COUNTS], followed)),
        ]
        return m

    def _follow(self, m: Module) -> Signal:
        """Sum 1 modulo 4, in step with p."""
        products = [Signal(2, name=f"low_product{stage}", reset_less=True) for stage in range(3)]
        addend = Signal(Addend, reset_less=True)
        total = Signal(2, name="low_sum", reset_less=True)
        m.d.sync += addend.eq(self.addend)
        (a0, a1), (b0, b1) = self.a[1][:2], self.b[:2]
        before = Cat(a0 & b0, (a1 & b0) ^ (a0 & b1))
        for stage, product in enumerate(products):
            with m.If(self.en[stage]):
                m.d.sync += product.eq(before)
            before = product
        own = Mux(addend == Addend.OWN, total, 0)
        chained = self.cascaded and self._follows_chain
        before = Mux(addend == Addend.CASCADE, self.cascade_in[ACCUMULATOR:], own) if chained else own
        with m.If(self.en[3]):
            m.d.sync += total.eq(_sum(products[-1], before))
        return total
