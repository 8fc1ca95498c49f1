"""Compute units: the pipelines' controls, result control, the shared buffers and the cores."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from triovit.hdl.compute.core import Core
from triovit.hdl.compute.engines import Pipeline, computing, pipelines_of
from triovit.hdl.compute.ports import by_space, members_of
from triovit.hdl.compute.results import ResultControl
from triovit.hdl.compute.steps import WORD_ADDRESS_BITS
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.config.buffers import buffers
from triovit.hdl.control.ports import UnitInterface, UnitPort
from triovit.hdl.dma.ports import BufferRead, BufferWrite, ReadInterface, WriteInterface
from triovit.hdl.isa.engines import Space
from triovit.hdl.isa.names import Buffer, Destination, ErrorCode
from triovit.hdl.memory.banked import BankedMemory


def _share(m, space: Space, requests: list, before: tuple | None) -> tuple:
    """(taken, address, double) of a read port: the first of the pipelines' `requests` that asks, after `before`."""
    name = space.value.lower()
    taken = Signal(name=f"{name}_taken")
    address = Signal(WORD_ADDRESS_BITS, name=f"{name}_address")
    double = Signal()
    # The last assignment wins: from the one with the least priority to the one with the most.
    for request in reversed(requests):
        with m.If(request.request):
            m.d.comb += [address.eq(request.address), double.eq(request.double)]
    asked = before[0] if before else 0
    for request in requests:
        held = Cat(other.hold for other in requests if other is not request).any()
        m.d.comb += request.blocked.eq(asked | held)
        asked = asked | request.request
    m.d.comb += taken.eq(asked)
    if before:
        with m.If(before[0]):
            m.d.comb += address.eq(before[1])
    return taken, address, double


class ComputeUnits(wiring.Component):
    """The units that compute with everything behind them, for all cores.

    Parameters: config; pipelines: what the units are made of, by default those of the configuration.
    Members:
      units (Out, an array of UnitPort): the pipelines' units, in order. load (In, BufferWrite): a LOAD's write.
      store (In, BufferRead): a STORE's read of O.
    Errors: ILLEGAL_FIELD from a pipeline's control, LOCAL_ADDRESS for a feature, weight, record, code or result beyond
    its buffer.
    """

    units: list[UnitInterface]
    load: WriteInterface
    store: ReadInterface

    def __init__(self, config: AcceleratorConfig, pipelines: Sequence[Pipeline] | None = None):
        self.config = config.validate()
        self.pipelines = pipelines_of(config) if pipelines is None else pipelines
        self.engines = computing(self.pipelines)
        super().__init__(
            {
                "units": Out(UnitPort()).array(len(self.engines)),
                "load": In(BufferWrite(config)),
                "store": In(BufferRead(config)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config, shapes = self.config, buffers(self.config)
        m.submodules.results = results = ResultControl(config, self.engines)
        m.submodules.b = b = BankedMemory(*shapes[Space.B])
        m.submodules.c = c = BankedMemory(*shapes[Space.C])
        m.submodules.p = p = BankedMemory(*shapes[Space.P])
        controls = [pipeline.control(config) for pipeline in self.pipelines]
        cores = [Core(config, self.pipelines) for _ in range(config.cores)]
        for pipeline, control in zip(self.pipelines, controls, strict=True):
            m.submodules[f"{pipeline.name}_control"] = control
        for number, core in enumerate(cores):
            m.submodules[f"core{number}"] = core

        issuers = [unit for control in controls for unit in control.units]
        for unit, issuer, completion in zip(self.units, issuers, results.units, strict=True):
            self._build_unit(m, unit, issuer, completion)
        # All cores are in the same state; core 0 speaks for them.
        for number, control in enumerate(controls):
            paths = [members_of(core.paths)[number] for core in cores]
            m.d.comb += [*(path.control.eq(control.control) for path in paths), control.status.eq(paths[0].status)]
        for row, offer in zip(results.rows, cores[0].rows, strict=True):
            connect(m, offer, row)
        m.d.comb += [p.read_en.eq(results.p_en), p.read_address.eq(results.p_address)]
        for core in cores:
            m.d.comb += [
                core.results.eq(results.control),
                core.shared.b.eq(b.read_data),
                core.shared.c.eq(c.read_data),
                core.p.eq(p.read_data),
            ]
        self._build_reads(m, controls, cores, results, b, c)
        self._build_store(m, cores)
        self._build_load(m, cores, results, {Buffer.B: b, Buffer.C: c, Buffer.P: p})
        return m

    def _build_unit(self, m, unit, issuer, completion):
        """Instruction input, completion and errors of one unit."""
        connect(m, issuer.results, completion.results)
        m.d.comb += [
            issuer.i.payload.eq(unit.i.payload),
            issuer.i.valid.eq(unit.i.valid & completion.room),
            unit.i.ready.eq(issuer.i.ready & completion.room),
            completion.accepted.eq(issuer.accepted),
            completion.signal.eq(issuer.signal),
            completion.index.eq(issuer.index),
            unit.signal.eq(Mux(completion.done, completion.done_signal, 0)),
            unit.trace.start.eq(issuer.accepted),
            unit.trace.start_index.eq(issuer.index),
            unit.trace.done.eq(completion.done),
            unit.trace.done_index.eq(completion.done_index),
            unit.busy.eq(issuer.busy),
            unit.stall.eq(issuer.stall),
            unit.idle.eq(completion.idle & ~issuer.busy),
            # A result is older than what its unit's control looks at.
            unit.error.valid.eq(issuer.error.valid | completion.fault),
            unit.error.code.eq(Mux(completion.fault, ErrorCode.LOCAL_ADDRESS, issuer.error.code)),
            unit.error.index.eq(Mux(completion.fault, completion.fault_index, issuer.error.index)),
        ]

    def _build_reads(self, m, controls, cores, results, b, c):
        """Read ports of the buffers: A, O and K of every core, B and C, which cores share."""
        asked = [by_space(control.reads) for control in controls]

        def share(space: Space, before=None) -> tuple:
            return _share(m, space, [requests[space] for requests in asked if space in requests], before)

        a_en, a_address, a_double = share(Space.A)
        k_en, k_address, _ = share(Space.K)
        # O: a residual operand, then the pipelines, then STORE.
        taken, o_address, _ = share(Space.O, (results.o_en, results.o_address))
        m.d.comb += self.store.ready.eq(~taken)
        for core in cores:
            m.d.comb += [
                core.a.en.eq(a_en),
                core.a.address.eq(a_address),
                core.a.double.eq(a_double),
                core.k.en.eq(k_en),
                core.k.address.eq(k_address),
                core.o.en.eq(taken | self.store.valid),
                core.o.address.eq(Mux(taken, o_address, self.store.address)),
            ]
        for space, memory in ((Space.B, b), (Space.C, c)):
            en, address, _ = share(space)
            m.d.comb += [memory.read_en.eq(en), memory.read_address.eq(address)]

    def _build_store(self, m, cores):
        """A STORE's words are those of the core that it asked for a cycle ago."""
        if len(cores) == 1:
            m.d.comb += self.store.data.eq(cores[0].o_data)
            return
        selected = Signal.like(self.store.core, reset_less=True)
        m.d.sync += selected.eq(self.store.core)
        with m.Switch(selected):
            for number, core in enumerate(cores):
                with m.Case(number):
                    m.d.comb += self.store.data.eq(core.o_data)

    def _build_load(self, m, cores, results, shared):
        """A LOAD waits only for a result that is written to the same buffer in the same cycle."""
        load, writes = self.load, results.control.write
        to_a, to_o = load.buffer == Buffer.A, load.buffer == Buffer.O
        blocked = (to_a & writes[Destination.A.position]) | (to_o & writes[Destination.O.position])
        m.d.comb += load.ready.eq(~blocked)
        accepted = load.valid & load.ready
        for number, core in enumerate(cores):
            mine = accepted & (load.core == number)
            m.d.comb += [
                core.load.a.eq(mine & to_a),
                core.load.o.eq(mine & to_o),
                core.load.address.eq(load.address),
                core.load.data.eq(load.data),
                core.load.mask.eq(load.mask),
            ]
        for buffer, memory in shared.items():
            m.d.comb += [
                memory.write_en.eq(accepted & (load.buffer == buffer)),
                memory.write_address.eq(load.address),
                memory.write_data.eq(load.data),
                memory.write_mask.eq(load.mask),
            ]
