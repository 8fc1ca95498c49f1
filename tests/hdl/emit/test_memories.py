"""The list of memories in the map beside a design."""

from amaranth.hdl import Module
from amaranth.lib import fifo, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.emit.verilog import emit_verilog
from triovit.hdl.memory.bank_array import BankArray
from triovit.hdl.memory.ram import Ram
from triovit.hdl.technology import ASIC


class Memories(wiring.Component):
    """Two buffers of four banks, a RAM like one of their banks, another one, and a queue."""

    i: In(8)
    o: Out(8)

    def elaborate(self, platform):
        m = Module()
        for name in ("left", "right"):
            m.submodules[name] = buffer = BankArray(64, 4, 8, 2)
            m.d.comb += [buffer.write_data[0].eq(self.i), buffer.read_en.eq(self.i)]
        m.submodules.alike = alike = Ram(8, 16, latency=2)
        m.submodules.other = other = Ram(8, 16, latency=1, parts=2)
        m.submodules.queue = queue = fifo.SyncFIFO(width=5, depth=3)
        m.d.comb += [ram.write_data.eq(self.i) for ram in (alike, other)]
        m.d.comb += [queue.w_data.eq(self.i), queue.w_en.eq(self.i[0]), self.o.eq(queue.r_data ^ other.read_data)]
        return m


def test_kinds_and_places():
    banks, other, queue = emit_verilog(Memories(), "top", technology=ASIC).map()["memories"]
    assert banks == {
        "module": "triovit_ram_16x8_latency2", "component": "Ram", "depth": 16, "width": 8, "parts": 1, "latency": 2,
        "style": "auto", "ports": "1 write, 1 read", "bits": 128, "instances": 9,
        "places": {
            "left": [f"bank{k}.ram" for k in range(4)], "right": [f"bank{k}.ram" for k in range(4)], "": ["alike.ram"],
        },
    }  # fmt: skip
    assert other["module"] == "triovit_ram_16x8_parts2_latency1" and other["places"] == {"": ["other.ram"]}
    assert (queue["component"], queue["depth"], queue["width"], queue["latency"]) == ("SyncFIFO", 3, 5, 0)
    assert queue["module"] == "top_sync_fifo" and queue["instances"] == 1 and queue["places"] == {"": ["queue"]}


def test_inferred_memories_are_told_apart_too():
    """Where all are instances of one module, its parameters tell the kinds."""
    kinds = emit_verilog(Memories(), "top").map()["memories"]
    assert [(kind["module"], kind["instances"]) for kind in kinds[:2]] == [("triovit_ram", 9), ("triovit_ram", 1)]
    assert [kind["parts"] for kind in kinds[:2]] == [1, 2]
