"""Read ports of the buffers: who may read in a cycle, and what that is at the RAMs' pins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.compute.pins import ReadPins, ReadPinsInterface
from triovit.hdl.compute.ports import READ_SPACES, RequestInterface, by_space, members_of, requests, space_name
from triovit.hdl.compute.steps import WORD_ADDRESS_BITS
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.config.buffers import buffers
from triovit.hdl.delay_line import delayed
from triovit.hdl.dma.ports import BufferRead, ReadInterface
from triovit.hdl.isa.engines import Space
from triovit.hdl.memory.bank_select import BankSelect, window_mask


@dataclass(frozen=True)
class _Access:
    """A read in S1: whether there is one, its address, how many words it uses, whether they are every second one."""

    en: Value
    address: Value
    words: Value
    double: Value


class ReadPorts(wiring.Component):
    """Grants the pipelines' reads in S0 and registers them.

    Parameters: config; spaces: those that each pipeline reads, in order of priority.
    Members:
      pipelines (In, requests of each pipeline, in order). residual_en, residual_address (In): a residual operand's read
      of O, which goes first. store (In, BufferRead, but for its data): goes last, not in a cycle in which anybody might
      read O.
      a, o, k, b, c (Out, ReadPins): in S1; k a cycle later, as its RAMs are read a cycle later.
    With `integrity` no bank is read whose word nobody needs, since a word that was never written may look damaged: the
    lanes that a STORE leaves out, and a residual operand beyond O.
    Latency: 1 cycle, 2 for k. `blocked` and `store.ready` depend on requests of the same cycle.
    """

    pipelines: wiring.PureInterface
    residual_en: Signal
    residual_address: Signal
    store: ReadInterface
    a: ReadPinsInterface
    o: ReadPinsInterface
    k: ReadPinsInterface
    b: ReadPinsInterface
    c: ReadPinsInterface

    def __init__(self, config: AcceleratorConfig, spaces: Sequence[Iterable[Space]]):
        self.config = config
        shapes = buffers(config)
        super().__init__(
            {
                "pipelines": In(
                    wiring.Signature({f"p{k}": Out(requests(config, read)) for k, read in enumerate(spaces)})
                ),
                "residual_en": In(1),
                "residual_address": In(WORD_ADDRESS_BITS),
                "store": In(BufferRead(config)),
                **{space_name(space): Out(ReadPins(shapes[space])) for space in READ_SPACES},
            }
        )

    def elaborate(self, platform):
        m = Module()
        asked = [by_space(pipeline) for pipeline in members_of(self.pipelines)]
        beat = self.config.beat_words
        for space in READ_SPACES:
            mine = [of[space] for of in asked if space in of]
            before = (self.residual_en, self.residual_address) if space == Space.O else None
            access = self._share(m, space, mine, before)
            if space in (Space.A, Space.O):
                self._window(m, space, access, self.config.block if space == Space.A else beat)
            else:
                self._row(m, space, access)
        possible = Cat(of[Space.O].possible for of in asked if Space.O in of).any()
        m.d.comb += self.store.ready.eq(~self.residual_en & ~possible)
        return m

    def _share(self, m, space: Space, mine: Sequence[RequestInterface], before: tuple | None) -> _Access:
        """The read port of a space in S1, from what is asked in S0: `before`, then the pipelines, then STORE."""
        name = space_name(space)
        en = Signal(name=f"{name}_asked")
        address = Signal(WORD_ADDRESS_BITS, name=f"{name}_wanted")
        words = Signal(range(self.config.block + 1), name=f"{name}_wanted_words")
        double = Signal(name=f"{name}_wanted_double")
        if space == Space.O:
            store = self.store.valid & self.store.ready
            m.d.comb += [en.eq(store), address.eq(self.store.address), words.eq(self.config.beat_words)]
        # The last assignment wins: from the one with the least priority to the one with the most.
        for request in reversed(mine):
            with m.If(request.request):
                m.d.comb += [en.eq(1), address.eq(request.address), words.eq(request.words), double.eq(request.double)]
        taken = 0
        if before:
            taken = before[0]
            count = before[1] < self.config.output_words if self.config.integrity else 1
            with m.If(taken):
                m.d.comb += [en.eq(1), address.eq(before[1]), words.eq(count), double.eq(0)]
        for request in mine:
            m.d.comb += request.blocked.eq(taken)
            taken = taken | request.request
        registers = []
        for value, reset in ((en, True), (address, False), (words, False), (double, False)):
            registers.append(delayed(m, value, 1, f"{name}_{value.name}", reset=reset)[-1])
        return _Access(*registers)

    def _window(self, m, space: Space, access: _Access, width: int):
        shape, pins = buffers(self.config)[space], getattr(self, space_name(space))
        m.submodules[f"{space_name(space)}_select"] = select = BankSelect(shape.words, shape.banks, width)
        mask = window_mask(access.words, access.double, width)
        if space == Space.O and self.config.integrity:
            by_store = self.store.valid & self.store.ready
            mask = mask & delayed(m, Mux(by_store, self.store.mask, (1 << width) - 1), 1, "store_mask")[-1]
        m.d.comb += [
            select.address.eq(access.address),
            select.mask.eq(Mux(access.en, mask, 0)),
            pins.enables.eq(select.enables),
            pins.rows.eq(select.rows),
            pins.shift.eq(select.shift),
        ]

    def _row(self, m, space: Space, access: _Access):
        """A row that is read from its first word on, or one word of it."""
        shape, pins, name = buffers(self.config)[space], getattr(self, space_name(space)), space_name(space)
        bits = len(pins.shift)
        shift, row = access.address[:bits], access.address[bits : bits + len(pins.rows[0])]
        enables = Signal(shape.banks, name=f"{name}_banks")
        m.d.comb += enables.eq(
            Mux(access.en, Mux(access.words == 1, 1 << shift, (1 << shape.banks) - 1), 0),
        )
        later = 1 if space == Space.K else 0
        m.d.comb += [
            pins.enables.eq(delayed(m, enables, later, f"{name}_enables", reset=True)[-1]),
            *(pins.rows[bank].eq(delayed(m, row, later, f"{name}_row_{bank}")[-1]) for bank in range(shape.banks)),
            pins.shift.eq(delayed(m, shift, later, f"{name}_shift")[-1]),
        ]
