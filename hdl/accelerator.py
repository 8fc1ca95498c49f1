"""The accelerator: units, queues, semaphores, registers and the AXI ports."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence

from amaranth.hdl import Cat, ClockDomain, DomainRenamer, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from triovit.hdl.bus.axi4 import AXI4LiteInterface, AXI4LiteSignature, AXI4Signature
from triovit.hdl.compute.engines import Pipeline, computing, pipelines_of
from triovit.hdl.compute.units import ComputeUnits
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.config.engines import engines_of
from triovit.hdl.control.controller import Controller
from triovit.hdl.control.counters import Counters
from triovit.hdl.control.fetch import FetchUnit
from triovit.hdl.control.ports import TracePort
from triovit.hdl.control.queue import UnitQueue
from triovit.hdl.control.registers import RegisterFile
from triovit.hdl.control.semaphores import Semaphores
from triovit.hdl.delay_line import delayed
from triovit.hdl.dma.load import LoadUnit
from triovit.hdl.dma.read_master import ReadMaster
from triovit.hdl.dma.store import StoreUnit
from triovit.hdl.dma.write_master import WriteMaster
from triovit.hdl.integrity.alarms import alarm
from triovit.hdl.integrity.monitor import IntegrityMonitor
from triovit.hdl.integrity.parity_queue import ParityQueue
from triovit.hdl.isa.engines import Event, counters, trace_port, traced
from triovit.hdl.isa.names import Unit
from triovit.hdl.isa.registers import REGISTER_ADDRESS_BITS


class Accelerator(wiring.Component):
    """Top level: AXI4 masters for program, weights and feature maps, AXI4-Lite slave for control, an interrupt.

    Parameters: config; pipelines: what its computing units are made of, by default those of the configuration; trace:
    whether it has trace ports, which are for simulation.
    Members: m_axi, or m_axi0, m_axi1, ... with several ports (AXI4, `data_bytes` wide, one ID), s_axil (AXI4-Lite, 4 KB
    of registers, see `hdl.isa.registers`), interrupt (Out, 1, level); with `trace`, for FETCH and each unit u of
    `hdl.isa.engines`, in lower case, trace_u (Out, TracePort): an instruction is accepted, is done.
    Emitted Verilog has the clock `aclk` and the active-low reset `aresetn`. No output depends on an input in the same
    cycle.

    Resets: registers, controller, counters and the AXI masters have that of the port; each unit, queue and the
    semaphores one of their own, a register, which a soft reset pulls too.
    """

    s_axil: AXI4LiteInterface
    interrupt: Signal

    def __init__(self, config: AcceleratorConfig, pipelines: Sequence[Pipeline] | None = None, *, trace: bool = False):
        self.trace = trace
        self.config = config.validate()
        self.pipelines = pipelines_of(config) if pipelines is None else pipelines
        moving = tuple(engine for engine in engines_of(config) if not engine.computes)
        self.engines = (*moving, *computing(self.pipelines))
        super().__init__(
            {
                **{name: Out(AXI4Signature(config.data_bytes)) for name in config.masters},
                "s_axil": In(AXI4LiteSignature(REGISTER_ADDRESS_BITS)),
                "interrupt": Out(1),
                **{trace_port(unit): Out(TracePort()) for unit in (traced(self.engines) if trace else ())},
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, engines = self.config, self.engines
        sources = len(engines) + 1  # of errors, semaphores and finished instructions: FETCH is one, too
        m.submodules.registers = registers = RegisterFile(config, engines)
        m.submodules.controller = controller = Controller(sources, sources, integrity=config.integrity)
        m.submodules.counters = counts = Counters(counters(engines), config.ports)
        read_masters = [
            ReadMaster(config.data_bytes, config.read_bursts, integrity=config.integrity) for _ in config.masters
        ]
        write_masters = [
            WriteMaster(config.data_bytes, config.write_bursts, integrity=config.integrity) for _ in config.masters
        ]
        for port, (read_master, write_master) in enumerate(zip(read_masters, write_masters, strict=True)):
            m.submodules[f"read_master{port or ''}"] = read_master
            m.submodules[f"write_master{port or ''}"] = write_master

        def reset(name, part):
            """Make a part one that a soft reset brings to its initial state."""
            m.submodules[name] = _with_own_reset(m, name, part, controller.reset_units)
            return part

        fetch = reset("fetch", FetchUnit(config, engines))
        load = reset("load", LoadUnit(config))
        store = reset("store", StoreUnit(config))
        compute = reset("compute", ComputeUnits(config, self.pipelines))
        semaphores = reset("semaphores", Semaphores(givers=sources, takers=sources))
        queues = [
            reset(f"{engine.unit.name.lower()}_queue", UnitQueue(config.queue_depth, integrity=config.integrity))
            for engine in engines
        ]
        computing_ports = zip(compute.engines, compute.units, strict=True)
        ports = {
            Unit.LOAD: load.unit,
            Unit.STORE: store.unit,
            **{engine.unit: port for engine, port in computing_ports},
        }
        units = [ports[engine.unit] for engine in engines]

        self._build_control(m, registers, controller, counts, fetch)
        self._build_instructions(m, controller, semaphores, queues, fetch, units)
        self._build_memory(m, registers, fetch, load, store, compute)
        self._build_bus(m, controller, fetch, load, store, read_masters, write_masters)
        self._build_trace(m, controller, fetch, units)
        if config.integrity:
            moved = {
                Unit.LOAD: Cat(part.damaged for part in (load, *read_masters)).any(),
                Unit.STORE: Cat(part.damaged for part in (store, *write_masters)).any(),
            }
            self._build_integrity(m, registers, controller, fetch, compute, queues, moved)
        idle = [*(unit.idle for unit in units), *(queue.empty for queue in queues)]
        m.d.comb += [
            *(target.eq(error) for target, error in zip(
                controller.unit_error, (fetch.error, *(unit.error for unit in units)), strict=True
            )),
            controller.overflow.eq(semaphores.overflow),
        ]  # fmt: skip
        m.d.sync += fetch.units_idle.eq(functools.reduce(operator.and_, idle))
        beats = ((Event.BEAT_READ, read_masters), (Event.BEAT_WRITTEN, write_masters))
        happens = {(event, None): sum(master.beat for master in masters) for event, masters in beats}
        for engine, unit in zip(engines, units, strict=True):
            happens |= {(Event.BUSY, engine.unit): unit.busy, (Event.STALL, engine.unit): unit.stall}
        for counter, event in zip(counters(engines), counts.events, strict=True):
            m.d.comb += event.eq(happens[counter.event, counter.unit])
        return m

    def _build_control(self, m, registers, controller, counts, fetch):
        """Registers to controller and back."""
        connect(m, flipped(self.s_axil), registers.s_axil)
        connect(m, registers.commands, controller.commands)
        connect(m, controller.status, registers.status)
        m.d.comb += [
            registers.cycles.eq(counts.cycles),
            *(shown.eq(count) for shown, count in zip(registers.counts, counts.counts, strict=True)),
            counts.clear.eq(controller.begin),
            counts.count.eq(controller.running),
            fetch.start.eq(controller.begin),
            fetch.program_offset.eq(registers.program_offset),
            fetch.program_bytes.eq(registers.program_bytes),
            controller.finished.eq(fetch.finished),
            self.interrupt.eq(controller.irq),
        ]

    def _build_integrity(self, m, registers, controller, fetch, compute, queues, moved):
        """Alarms of all that stores words to the monitor, and from it to controller and registers. moved: those of
        LOAD's and STORE's lists, and the AXI masters'."""
        control, assignments = alarm(
            "control_alarms",
            program=fetch.damaged,
            queues={
                engine.unit: queue.damaged | moved.get(engine.unit, 0)
                for engine, queue in zip(self.engines, queues, strict=True)
            },
        )
        m.submodules.integrity = monitor = IntegrityMonitor(sources=2)
        m.d.comb += [
            *assignments,
            monitor.alarms[0].eq(control),
            monitor.alarms[1].eq(compute.alarms),
            monitor.index.eq(fetch.index),
            monitor.clear.eq(controller.begin),
            monitor.count.eq(controller.running),
            controller.fault.eq(monitor.fault),
            registers.corrected.eq(monitor.corrected),
        ]

    def _build_instructions(self, m, controller, semaphores, queues, fetch, units):
        """FETCH to queues to units, and the semaphores between them."""
        for issued, queue, unit in zip(fetch.o, queues, units, strict=True):
            connect(m, issued, queue.i)
            connect(m, queue.o, unit.i)
            m.d.comb += queue.halt.eq(controller.halt)
        takers = [*(queue.semaphores for queue in queues), fetch.semaphores]
        for port, taker in zip(semaphores.takers, takers, strict=True):
            connect(m, taker, port)
        for give, giver in zip(semaphores.give, (*(unit.signal for unit in units), fetch.give), strict=True):
            m.d.comb += give.eq(giver)
        m.d.comb += semaphores.clear.eq(controller.begin)

    def _build_trace(self, m, controller, fetch, units):
        """Accepted and finished instructions, for the watchdog and at the trace ports."""
        fetched = TracePort().create()
        m.d.comb += [
            fetched.start.eq(controller.begin),
            fetched.start_index.eq(0),
            fetched.done.eq(fetch.finished),
            fetched.done_index.eq(fetch.index),
        ]
        traces = (fetched, *(unit.trace for unit in units))
        if self.trace:
            for unit, trace in zip(traced(self.engines), traces, strict=True):
                connect(m, trace, flipped(getattr(self, trace_port(unit))))
        for number, trace in enumerate(traces):
            m.d.comb += [
                controller.finish[number].eq(trace.done),
                controller.finish_index[number].eq(trace.done_index),
            ]

    def _build_memory(self, m, registers, fetch, load, store, compute):
        """Which memory the units may touch, and the buffers' ports of LOAD and STORE."""
        m.d.comb += [fetch.memory.base[0].eq(registers.memory.base[0]), fetch.memory.size.eq(registers.memory.size)]
        for unit in (load, store):
            connect(m, registers.memory, unit.memory)
            m.d.comb += unit.core_stride.eq(registers.core_stride)
        m.d.comb += compute.core_mask.eq(registers.core_mask)
        connect(m, load.write, compute.load)
        connect(m, store.read, compute.store)

    def _build_bus(self, m, controller, fetch, load, store, read_masters, write_masters):
        """The AXI masters between the units and the ports. The program comes through the first one."""
        connect(m, fetch.ar, read_masters[0].fetch_ar)
        connect(m, read_masters[0].fetch_r, fetch.r)
        for port, name in enumerate(self.config.masters):
            reads, writes = read_masters[port], write_masters[port]
            connect(m, load.ar[port], reads.load_ar)
            connect(m, reads.load_r, load.r[port])
            connect(m, store.aw[port], writes.aw)
            connect(m, store.w[port], writes.w)
            m.d.comb += [store.answered[port].eq(writes.answered), store.response[port].eq(writes.response)]
            for master in (reads, writes):
                m.d.comb += master.halt.eq(controller.halt)
                for channel, member in master.m_axi.signature.members.items():
                    mine, theirs = getattr(getattr(self, name), channel), getattr(master.m_axi, channel)
                    m.d.comb += mine.eq(theirs) if member.flow == Out else theirs.eq(mine)
        masters = (*read_masters, *write_masters)
        broken = Cat(master.broken for master in masters).any()
        # A list of bursts that is damaged makes answers look wrong: its alarm comes first.
        later = ParityQueue.alarm_latency + IntegrityMonitor.latency if self.config.integrity else 0
        m.d.comb += [
            controller.bus_idle.eq(Cat(master.idle for master in masters).all()),
            controller.broken.eq(delayed(m, broken, later, "broken", reset=True)[-1]),
        ]


def _with_own_reset(m, name: str, part, reset):
    """A part in a clock domain of its own, whose reset is a register: that of `m`, or `reset`, a cycle before."""
    domain = ClockDomain(name)
    domain.rst = Signal(name=f"{name}_rst", init=1, reset_less=True)
    m.domains += domain
    m.d.sync += domain.rst.eq(ResetSignal() | reset)
    return DomainRenamer(name)(part)
