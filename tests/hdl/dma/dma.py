"""FETCH, LOAD and STORE around one AXI port: the component that the benches of the three drive."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from triovit.hdl.bus.axi4 import AXI4Signature
from triovit.hdl.config.accelerator import PRESETS, AcceleratorConfig
from triovit.hdl.control.fetch import FetchUnit
from triovit.hdl.dma.load import LoadUnit
from triovit.hdl.dma.read_master import ReadMaster
from triovit.hdl.dma.store import StoreUnit

SMALL = {"feature_bytes": 16384, "output_bytes": 16384, "weight_bytes": 16384, "parameter_bytes": 16384}
CONFIGS = {
    "tiny": PRESETS["trio-tiny"],
    "core": PRESETS["trio-core"],
    "wide": AcceleratorConfig(name="wide", cores=3, data_bytes=64, attention_bytes=8192, **SMALL).validate(),
    "widest": AcceleratorConfig(name="widest", block=16, data_bytes=128, burst_beats=32, **SMALL).validate(),
}
SHARED = {"memory_base": In(64), "memory_size": In(32), "core_stride": In(32), "halt": In(1)}
INTERNAL = ("ar", "r", "m_axi")


class DMA(wiring.Component):
    """Members of the units, called <unit>_<member>; those in SHARED once; `m_axi` with all channels."""

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        self.units = {"load": LoadUnit(config), "store": StoreUnit(config), "fetch": FetchUnit(config)}
        members = {**SHARED, "m_axi": Out(AXI4Signature(config.data_bytes)), "beat": Out(1)}
        for name, unit in self.units.items():
            members |= {f"{name}_{m}": member for m, member in self._own(unit)}
        super().__init__(members)

    @staticmethod
    def _own(unit):
        return [(name, m) for name, m in unit.signature.members.items() if name not in SHARED and name not in INTERNAL]

    def elaborate(self, platform):
        m = Module()
        m.submodules.master = master = ReadMaster(self.config.data_bytes, self.config.read_bursts)
        for name, unit in self.units.items():
            m.submodules[name] = unit
            for member, kind in self._own(unit):
                outer = getattr(self, f"{name}_{member}")
                if kind.is_signature:
                    pair = (flipped(outer), getattr(unit, member))
                    connect(m, *pair)
                else:
                    inner = getattr(unit, member)
                    m.d.comb += inner.eq(outer) if kind.flow == In else outer.eq(inner)
            m.d.comb += [getattr(unit, n).eq(getattr(self, n)) for n in SHARED if n in unit.signature.members]
        for name in ("fetch", "load"):
            connect(m, self.units[name].ar, getattr(master, f"{name}_ar"))
            connect(m, getattr(master, f"{name}_r"), self.units[name].r)
        m.d.comb += self.beat.eq(master.beat)
        for port in (master.m_axi, self.units["store"].m_axi):
            for path, member, signal in port.signature.flatten(port):
                outer = getattr(self.m_axi, path[0])
                m.d.comb += signal.eq(outer) if member.flow == In else outer.eq(signal)
        return m
