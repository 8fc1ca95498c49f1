"""FETCH, LOAD and STORE around one AXI port: the component that the benches of the three drive."""

from __future__ import annotations

from amaranth.hdl import Module, ResetInserter
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from triovit.hdl.bus.axi4 import AXI4Signature
from triovit.hdl.config.accelerator import PRESETS, AcceleratorConfig
from triovit.hdl.control.fetch import FetchUnit
from triovit.hdl.control.ports import MemoryWindow
from triovit.hdl.dma.load import LoadUnit
from triovit.hdl.dma.read_master import ReadMaster
from triovit.hdl.dma.store import StoreUnit
from triovit.hdl.dma.write_master import WriteMaster

SMALL = {"feature_bytes": 16384, "output_bytes": 16384, "weight_bytes": 16384, "parameter_bytes": 16384}
CONFIGS = {
    "tiny": PRESETS["trio-tiny"],
    "core": PRESETS["trio-core"],
    "wide": AcceleratorConfig(name="wide", cores=3, data_bytes=64, attention_bytes=8192, **SMALL).validate(),
    "widest": AcceleratorConfig(name="widest", block=16, data_bytes=128, burst_beats=32, **SMALL).validate(),
}
SHARED = {"memory": In(MemoryWindow()), "core_stride": In(32)}
INTERNAL = ("ar", "r", "aw", "w", "answered", "response")


class DMA(wiring.Component):
    """Members of the units, called <unit>_<member>, the UnitPort just <unit>; those in SHARED once; `m_axi` whole.

    halt, broken: of both masters. reset: of the units alone, as a soft reset's. idle: neither master has a burst.
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        self.units = {"load": LoadUnit(config), "store": StoreUnit(config), "fetch": FetchUnit(config)}
        members = {**SHARED, "m_axi": Out(AXI4Signature(config.data_bytes)), "halt": In(1), "reset": In(1)}
        members |= dict.fromkeys(("broken", "idle", "read_beat", "write_beat"), Out(1))
        for name, unit in self.units.items():
            members |= {self._name(name, m): member for m, member in self._own(unit)}
        super().__init__(members)

    @staticmethod
    def _name(unit, member):
        return unit if member == "unit" else f"{unit}_{member}"

    @staticmethod
    def _own(unit):
        return [(name, m) for name, m in unit.signature.members.items() if name not in SHARED and name not in INTERNAL]

    def elaborate(self, platform):
        m = Module()
        m.submodules.reads = reads = ReadMaster(self.config.data_bytes, self.config.read_bursts)
        m.submodules.writes = writes = WriteMaster(self.config.data_bytes, self.config.write_bursts)
        for name, unit in self.units.items():
            m.submodules[name] = ResetInserter(self.reset)(unit)
            for member, kind in self._own(unit):
                outer, inner = getattr(self, self._name(name, member)), getattr(unit, member)
                if kind.is_signature:
                    arrays = (outer, inner) if kind.dimensions else ([outer], [inner])
                    for ours, theirs in zip(*arrays, strict=True):
                        connect(m, flipped(ours), theirs)
                else:
                    m.d.comb += inner.eq(outer) if kind.flow == In else outer.eq(inner)
            connect(m, flipped(self.memory), unit.memory)
            if name != "fetch":
                m.d.comb += unit.core_stride.eq(self.core_stride)
        for name in ("fetch", "load"):
            connect(m, self.units[name].ar, getattr(reads, f"{name}_ar"))
            connect(m, getattr(reads, f"{name}_r"), self.units[name].r)
        store = self.units["store"]
        connect(m, store.aw, writes.aw)
        connect(m, store.w, writes.w)
        m.d.comb += [
            store.answered.eq(writes.answered),
            store.response.eq(writes.response),
            self.broken.eq(reads.broken | writes.broken),
            self.idle.eq(reads.idle & writes.idle),
            self.read_beat.eq(reads.beat),
            self.write_beat.eq(writes.beat),
        ]
        for master in (reads, writes):
            m.d.comb += master.halt.eq(self.halt)
            for path, member, signal in master.m_axi.signature.flatten(master.m_axi):
                outer = getattr(self.m_axi, path[0])
                m.d.comb += signal.eq(outer) if member.flow == In else outer.eq(signal)
        return m
