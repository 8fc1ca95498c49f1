"""The accelerator: units, queues, semaphores, registers and the AXI ports."""

from __future__ import annotations

from amaranth.hdl import Module, ResetInserter
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from triovit.hdl.bus.axi4 import AXI4LiteSignature, AXI4Signature
from triovit.hdl.compute.units import ComputeUnits
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.control.controller import Controller
from triovit.hdl.control.counters import Counters
from triovit.hdl.control.fetch import FetchUnit
from triovit.hdl.control.queue import UnitQueue
from triovit.hdl.control.registers import RegisterFile
from triovit.hdl.control.semaphores import Semaphores
from triovit.hdl.dma.load import LoadUnit
from triovit.hdl.dma.read_master import ReadMaster
from triovit.hdl.dma.store import StoreUnit
from triovit.hdl.isa.layouts import INDEX_BITS
from triovit.hdl.isa.registers import COUNTERS, REGISTER_ADDRESS_BITS

UNITS = ("load", "store", "rmac", "mat")
TRACED = ("fetch", *UNITS)


class Accelerator(wiring.Component):
    """Top level: AXI4 master for program, weights and feature maps, AXI4-Lite slave for control, an interrupt.

    Parameters: config.
    Members: m_axi (AXI4, `data_bytes` wide, one ID), s_axil (AXI4-Lite, 4 KB of registers, see
    `hdl.isa.registers`), interrupt (Out, 1, level), and for each unit u of fetch, load, store, rmac, mat:
    trace_u_start, trace_u_done (Out, 1) with trace_u_start_index, trace_u_done_index (Out, 32): an instruction is
    accepted, is done; meant for simulation, leave them open.
    Emitted Verilog has the clock `aclk` and the active-low reset `aresetn`.
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config.validate()
        members = {
            "m_axi": Out(AXI4Signature(config.data_bytes)),
            "s_axil": In(AXI4LiteSignature(REGISTER_ADDRESS_BITS)),
            "interrupt": Out(1),
        }
        for unit in TRACED:
            for event in ("start", "done"):
                members |= {f"trace_{unit}_{event}": Out(1), f"trace_{unit}_{event}_index": Out(INDEX_BITS)}
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.registers = registers = RegisterFile(config)
        m.submodules.controller = controller = Controller(units=5, finishers=5)
        m.submodules.counters = counters = Counters()
        # A soft reset brings everything but registers and controller to its initial state.
        reset = ResetInserter(controller.reset_units)
        m.submodules.fetch = reset(fetch := FetchUnit(config))
        m.submodules.load = reset(load := LoadUnit(config))
        m.submodules.store = reset(store := StoreUnit(config))
        m.submodules.read_master = reset(read_master := ReadMaster(config.data_bytes, config.read_bursts))
        m.submodules.compute = reset(compute := ComputeUnits(config))
        m.submodules.semaphores = reset(semaphores := Semaphores(givers=5, takers=5))
        queues = {unit: UnitQueue(config.queue_depth) for unit in UNITS}
        for unit, queue in queues.items():
            m.submodules[f"{unit}_queue"] = reset(queue)

        connect(m, flipped(self.s_axil), registers.s_axil)
        self._build_control(m, registers, controller, counters, fetch)
        self._build_instructions(m, controller, semaphores, queues, fetch, load, store, compute)
        self._build_memory(m, registers, controller, fetch, load, store, compute, read_master)

        errors = (fetch.error, load.error, store.error, compute.rmac_error, compute.mat_error)
        done = {
            "fetch": (fetch.finished, fetch.index),
            "load": (load.done, load.done_index),
            "store": (store.done, store.done_index),
            "rmac": (compute.rmac_done, compute.rmac_done_index),
            "mat": (compute.mat_done, compute.mat_done_index),
        }
        start = {
            "fetch": (controller.begin, 0),
            "load": (load.start, load.start_index),
            "store": (store.start, store.start_index),
            "rmac": (compute.rmac_start, compute.rmac_start_index),
            "mat": (compute.mat_start, compute.mat_start_index),
        }
        units_idle = compute.idle & load.idle & store.idle
        for queue in queues.values():
            units_idle = units_idle & queue.empty
        m.d.comb += [
            *(controller.unit_error[k].eq(error) for k, error in enumerate(errors)),
            controller.overflow.eq(semaphores.overflow),
            controller.dma_idle.eq(fetch.idle & load.idle & store.idle),
            fetch.units_idle.eq(units_idle),
            controller.finished.eq(fetch.finished),
            self.interrupt.eq(controller.irq),
        ]
        for k, unit in enumerate(TRACED):
            for event, (strobe, index) in (("start", start[unit]), ("done", done[unit])):
                m.d.comb += [
                    getattr(self, f"trace_{unit}_{event}").eq(strobe),
                    getattr(self, f"trace_{unit}_{event}_index").eq(index),
                ]
            m.d.comb += [controller.finish[k].eq(done[unit][0]), controller.finish_index[k].eq(done[unit][1])]

        events = {
            "load_busy": ~load.idle,
            "store_busy": ~store.idle,
            "rmac_busy": compute.rmac_busy,
            "mat_busy": compute.mat_busy,
            "rmac_stall": compute.rmac_stall,
            "mat_stall": compute.mat_stall,
            "beats_read": read_master.beat,
            "beats_written": store.beat,
        }
        m.d.comb += [getattr(counters, name).eq(event) for name, event in events.items()]
        return m

    def _build_control(self, m, registers, controller, counters, fetch):
        """Registers to controller and back."""
        commands = ("start", "soft_reset", "acknowledge_done", "acknowledge_interrupt", "interrupt_enable", "watchdog")
        m.d.comb += [
            *(getattr(controller, name).eq(getattr(registers, name)) for name in commands),
            *(
                getattr(registers, name).eq(getattr(controller, name))
                for name in ("busy", "done", "error", "interrupt", "error_code", "error_index")
            ),
            registers.cycles.eq(counters.cycles),
            counters.clear.eq(controller.begin),
            counters.count.eq(controller.running),
            fetch.start.eq(controller.begin),
            fetch.program_offset.eq(registers.program_offset),
            fetch.program_bytes.eq(registers.program_bytes),
        ]
        for name, _ in COUNTERS:
            m.d.comb += getattr(registers, name.lower()).eq(getattr(counters, f"{name.lower()}_count"))

    def _build_instructions(self, m, controller, semaphores, queues, fetch, load, store, compute):
        """FETCH to queues to units, and the semaphores between them."""
        targets = {"load": load.i, "store": store.i, "rmac": compute.i_rmac, "mat": compute.i_mat}
        signals = {"load": load.signal, "store": store.signal, "rmac": compute.rmac_signal, "mat": compute.mat_signal}
        for k, unit in enumerate(UNITS):
            queue = queues[unit]
            connect(m, getattr(fetch, f"o_{unit}"), queue.i)
            m.d.comb += [
                targets[unit].payload.eq(queue.o.payload),
                targets[unit].valid.eq(queue.o.valid),
                queue.o.ready.eq(targets[unit].ready),
                queue.halt.eq(controller.halt),
                semaphores.wait[k].eq(queue.wait),
                queue.available.eq(semaphores.available[k]),
                semaphores.take[k].eq(queue.take),
                semaphores.give[k].eq(signals[unit]),
            ]
        m.d.comb += [
            semaphores.wait[4].eq(fetch.wait),
            fetch.available.eq(semaphores.available[4]),
            semaphores.take[4].eq(fetch.take),
            semaphores.give[4].eq(fetch.give),
            semaphores.clear.eq(controller.begin),
        ]

    def _build_memory(self, m, registers, controller, fetch, load, store, compute, read_master):
        """AXI channels, and the buffers' ports of LOAD and STORE."""
        connect(m, fetch.ar, read_master.fetch_ar)
        connect(m, load.ar, read_master.load_ar)
        connect(m, read_master.fetch_r, fetch.r)
        connect(m, read_master.load_r, load.r)
        for master in (read_master.m_axi, store.m_axi):
            for name, member in master.signature.members.items():
                mine, theirs = getattr(self.m_axi, name), getattr(master, name)
                m.d.comb += mine.eq(theirs) if member.flow == Out else theirs.eq(mine)
        for unit in (fetch, load, store):
            m.d.comb += [
                unit.halt.eq(controller.halt),
                unit.memory_base.eq(registers.memory_base),
                unit.memory_size.eq(registers.memory_size),
            ]
        for unit in (load, store):
            m.d.comb += unit.core_stride.eq(registers.core_stride)
        m.d.comb += [
            compute.load_valid.eq(load.write_valid),
            load.write_ready.eq(compute.load_ready),
            compute.load_buffer.eq(load.write_buffer),
            compute.load_core.eq(load.write_core),
            compute.load_address.eq(load.write_address),
            compute.load_data.eq(load.write_data),
            compute.load_mask.eq(load.write_mask),
            compute.store_valid.eq(store.read_valid),
            store.read_ready.eq(compute.store_ready),
            compute.store_core.eq(store.read_core),
            compute.store_address.eq(store.read_address),
            store.read_data.eq(compute.store_data),
        ]
