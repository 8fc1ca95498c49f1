"""The packed multiplier and its twin side by side, with the same inputs."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.aux.packed_multiplier import MultiplierPair, PackedMultiplier


class SideBySide(wiring.Component):
    """Members of both, the outputs as `packed` and `pair`."""

    def __init__(self):
        self.multipliers = {"packed": PackedMultiplier(), "pair": MultiplierPair()}
        members = self.multipliers["pair"].signature.members
        super().__init__(
            {
                "i": In(members["i"].shape),
                "en": In(1),
                "packed": Out(members["o"].shape),
                "pair": Out(members["o"].shape),
            }
        )

    def elaborate(self, platform):
        m = Module()
        for name, multiplier in self.multipliers.items():
            m.submodules[name] = multiplier
            m.d.comb += [multiplier.i.eq(self.i), multiplier.en.eq(self.en), getattr(self, name).eq(multiplier.o)]
        return m
