"""A MultiplyAdd whose operands all come in one cycle, so that each result has one item."""

import random

from amaranth.hdl import Module, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.golden.integer import arithmetic
from triovit.hdl.delay_line import delayed
from triovit.hdl.multiplier.multiply_add import P_BITS, MultiplyAdd
from triovit.sim.bench.payload import random_value


class Multiplied(wiring.Component):
    """i: the operands, cascade_in and the clears among them; o: o and cascade_out."""

    def __init__(self, **options):
        self.multiplier = MultiplyAdd(**options)
        self.latency = self.multiplier.latency
        names = ("a", "d", "b", "c", "clear_a", "clear_c", "cascade_in")
        members = {name: self.multiplier.signature.members[name].shape for name in names}
        super().__init__(
            {
                "i": In(data.StructLayout(members)),
                "o": Out(data.StructLayout({"o": signed(P_BITS), "cascade_out": signed(P_BITS)})),
            }
        )

    def model(self, item):
        """The outputs of an item."""
        multiplier, values = self.multiplier, dict(item)
        if values.pop("clear_a") and multiplier.pre_add:
            values["a"] = values["d"] = 0
        if values.pop("clear_c"):
            values["c"] = 0
        total = int(multiplier.model(**values))
        return {"o": total, "cascade_out": total}

    def elaborate(self, platform):
        m = Module()
        m.submodules.multiplier = multiplier = self.multiplier
        after = {"c": multiplier.latency - multiplier.addend_latency}
        after |= {"clear_c": after["c"], "cascade_in": multiplier.latency - multiplier.result_register}
        for name, _ in self.i.shape():
            late = delayed(m, self.i[name], after.get(name, 0), name)[-1]
            m.d.comb += getattr(multiplier, name).eq(late)
        m.d.comb += [self.o.o.eq(multiplier.o), self.o.cascade_out.eq(multiplier.cascade_out)]
        return m


def draw(component, count, seed):
    """Random items with extremes; a + d fits a's bits, and the sum 48 bits."""
    choose, shape = random.Random(seed), component.i.shape()
    low, high = arithmetic.signed_range(component.multiplier.a_bits)
    limits = arithmetic.signed_range(P_BITS)
    items = []
    while len(items) < count:
        item = random_value(shape, choose)
        item |= {"clear_a": choose.random() < 0.2, "clear_c": choose.random() < 0.2}
        if low <= item["a"] + item["d"] <= high and limits[0] <= component.model(item)["o"] <= limits[1]:
            items.append({name: int(value) for name, value in item.items()})
    return items
