"""Two multiply-accumulators with a shared operand in one multiplier."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, enum, wiring

from triovit.hdl.multiplier.dsp48e2 import OFFSET, PackedMultiplier
from triovit.hdl.multiplier.dsp48e2 import P as ACCUMULATOR
from triovit.hdl.multiplier.pair import LATENCY, SUM, Addend, MultiplierPair, ports
from triovit.hdl.validation import check_integer

PLAIN_TERMS = 8
"""Products of [-127, 127] and [-128, 127], or of [-128, 127] and [0, 127], whose sum fits the lower OFFSET bits."""


class PackedPair(wiring.Component):
    """A `MultiplierPair` with one DSP48E2: same members, latency and sums.

    p = sum 1 * 2**18 + sum 0. A lower sum of more than 18 bits reaches into the upper half, which then holds sum 1 + c
    with c = floor(sum 0 / 2**18). What c was is known modulo 4 when sum 1 is: a few gates beside the multiplier follow
    sum 1 in its two lowest bits. c is -2..1, so that gives sums of 20 bits. Where sum 0 keeps to 18 bits (`terms` up to
    8), c is minus its sign bit and nothing has to be followed.

    Parameters
    ----------
    terms : int, 1..31
        Most products that one sum gets. Up to 8, of every product either b or both a lie in -127..127 and the other in
        -128..127, or one in 0..127 and the other in -128..127: 8 * 127 * 128 < 2**17.
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

    def __init__(self, terms: int, cascaded: bool = True):
        self.terms = check_integer("terms", terms, 1, 31)
        self.cascaded = cascaded
        self.followed = 2 if terms > PLAIN_TERMS else 0  # bits of sum 1
        # What counts of p: the lower sum's 18 bits, and the upper one's 20 or, where both have 18, 18 and the borrow.
        self._width = OFFSET + (SUM.width if self.followed else OFFSET + 1)
        super().__init__(ports(ACCUMULATOR + self.followed, self._width + self.followed))

    def unpack(self, sums: Value) -> tuple[tuple[Value, Value | int], tuple[Value, Value | int]]:
        """For sum 0 and sum 1 a number and the small correction that has to be added to it."""
        low, high = sums[:OFFSET], sums[OFFSET : self._width]
        if not self.followed:
            return (low.as_signed(), 0), (high.as_signed(), low[-1])
        borrow = (high[:2] - sums[self._width :])[:2].as_signed()
        return (Cat(low, borrow).as_signed(), 0), (high.as_signed(), -borrow)

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
        followed = self._follow(m) if self.followed else ()
        m.d.comb += [
            self.cascade_out.eq(Cat(multiplier.cascade_out, followed)),
            self.sums.eq(Cat(multiplier.p[: self._width], followed)),
        ]
        return m

    def _follow(self, m: Module) -> Signal:
        """Sum 1 modulo 4, in step with p."""
        products = [Signal(2, name=f"low_product{stage}", reset_less=True) for stage in range(3)]
        addend = Signal(Addend, reset_less=True)
        total = Signal(2, name="low_sum", reset_less=True)
        m.d.sync += addend.eq(self.addend)
        before = (self.a[1][:2] * self.b[:2])[:2]
        for stage, product in enumerate(products):
            with m.If(self.en[stage]):
                m.d.sync += product.eq(before)
            before = product
        cascade = self.cascade_in[ACCUMULATOR:] if self.cascaded else 0
        with m.If(self.en[3]):
            own = Mux(addend == Addend.OWN, total, 0)
            m.d.sync += total.eq(products[-1] + Mux(addend == Addend.CASCADE, cascade, own))
        return total
