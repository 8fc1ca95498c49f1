"""FETCH, LOAD and STORE around their AXI ports: the component that the benches of the three drive."""

from __future__ import annotations

from dataclasses import replace

from amaranth.hdl import Cat, Module, ResetInserter
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
# Several ports: with a word a beat; as a Zynq has them.
PORTS = {
    "two": replace(PRESETS["trio-tiny"], name="two", cores=4, ports=2, data_bytes=4).validate(),
    "four": AcceleratorConfig(name="four", cores=4, ports=4, burst_beats=16, **SMALL).validate(),
}
CONFIGS |= PORTS
SHARED = ("memory", "core_stride")
INTERNAL = ("ar", "r", "aw", "w", "answered", "response")


class DMA(wiring.Component):
    """Members of the units, called <unit>_<member>, the UnitPort just <unit>; those in SHARED once; masters whole.

    halt, broken: of all masters. reset: of the units alone, as a soft reset's. idle: no master has a burst. read_beat,
    write_beat: of the first port.
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        self.units = {"load": LoadUnit(config), "store": StoreUnit(config), "fetch": FetchUnit(config)}
        members = {"memory": In(MemoryWindow(config.ports)), "core_stride": In(32), "halt": In(1), "reset": In(1)}
        members |= {name: Out(AXI4Signature(config.data_bytes)) for name in config.masters}
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
        config, fetch, load, store = self.config, *(self.units[name] for name in ("fetch", "load", "store"))
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
            if name != "fetch":
                connect(m, flipped(self.memory), unit.memory)
                m.d.comb += unit.core_stride.eq(self.core_stride)
        m.d.comb += [fetch.memory.base[0].eq(self.memory.base[0]), fetch.memory.size.eq(self.memory.size)]
        masters = []
        for port, name in enumerate(config.masters):
            reads = ReadMaster(config.data_bytes, config.read_bursts)
            writes = WriteMaster(config.data_bytes, config.write_bursts)
            m.submodules += [reads, writes]
            connect(m, load.ar[port], reads.load_ar)
            connect(m, reads.load_r, load.r[port])
            connect(m, store.aw[port], writes.aw)
            connect(m, store.w[port], writes.w)
            m.d.comb += [store.answered[port].eq(writes.answered), store.response[port].eq(writes.response)]
            for master in (reads, writes):
                m.d.comb += master.halt.eq(self.halt)
                for path, member, signal in master.m_axi.signature.flatten(master.m_axi):
                    outer = getattr(getattr(self, name), path[0])
                    m.d.comb += signal.eq(outer) if member.flow == In else outer.eq(signal)
            if port == 0:
                connect(m, fetch.ar, reads.fetch_ar)
                connect(m, reads.fetch_r, fetch.r)
                m.d.comb += [self.read_beat.eq(reads.beat), self.write_beat.eq(writes.beat)]
            masters += [reads, writes]
        m.d.comb += [
            self.broken.eq(Cat(master.broken for master in masters).any()),
            self.idle.eq(Cat(master.idle for master in masters).all()),
        ]
        return m
