"""Loops of a LOAD or STORE: an instruction becomes runs of consecutive words."""

from __future__ import annotations

from amaranth.hdl import Array, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.control.errors import ERROR
from triovit.hdl.isa.instructions import FIELD_BITS, SEMAPHORES, TRANSFER
from triovit.hdl.isa.layouts import INDEX_BITS, ISSUED, LAYOUT_OF, members
from triovit.hdl.isa.names import Buffer, ErrorCode, Opcode
from triovit.hdl.isa.rules import breaks_a_rule

LOCAL_BITS, MEMORY_BITS = FIELD_BITS["local"], FIELD_BITS["memory"]


def core_bits(config: AcceleratorConfig) -> int:
    """Width of the index of a core among those of its port."""
    return max(1, ceil_log2(config.port_cores))


def transfer_members(config: AcceleratorConfig) -> dict:
    """What a run and a burst carry of their instruction."""
    return {
        "core": unsigned(core_bits(config)),
        "buffer": unsigned(FIELD_BITS["buffer"]),
        "last": 1,
        "index": unsigned(INDEX_BITS),
        "signal": unsigned(SEMAPHORES),
    }


def run_layout(config: AcceleratorConfig) -> data.StructLayout:
    """One run: on-chip address of its first word, memory word numbers (offset / block) of its first and last word.

    `core` counts from each port's first core: all ports have the run at once, each for a core of its own. `striped`,
    with several ports only: the run is about a buffer that all cores share, see `per_core`.
    """
    word_bits = MEMORY_BITS - ceil_log2(config.block)
    return data.StructLayout(
        {
            "local": unsigned(LOCAL_BITS),
            "first": unsigned(word_bits),
            "final": unsigned(word_bits),
            **({"striped": 1} if config.ports > 1 else {}),
            **transfer_members(config),
        }
    )


def per_core(buffer):
    """Each core has this buffer, with data of its own in memory."""
    return (buffer == Buffer.A) | (buffer == Buffer.O)


class Loop:
    """A counter of rows or planes; `last`, a register: it is in its last iteration.

    count: iterations as the instruction says, while it is taken; kept: the same, kept. Counts of 0 are refused.
    """

    def __init__(self, name: str, count, kept):
        self.count, self.kept = count, kept
        self.left = Signal(len(count), name=f"{name}s_left", reset_less=True)
        self.last = Signal(name=f"last_{name}", reset_less=True)
        self.once = Signal(name=f"one_{name}", reset_less=True)  # there is only one iteration

    def start(self, m) -> None:
        once = self.count == 1
        m.d.sync += [self.left.eq(self.count), self.last.eq(once), self.once.eq(once)]

    def step(self, m) -> None:
        m.d.sync += [
            self.left.eq(Mux(self.last, self.kept, self.left - 1)),
            self.last.eq(Mux(self.last, self.once, self.left == 2)),
        ]


class RunWalker(wiring.Component):
    """Steps through cores, planes and rows of a LOAD or STORE and checks every run before it is offered.

    Parameters
    ----------
    config : AcceleratorConfig
    opcode : Opcode.LOAD or Opcode.STORE
        A LOAD names its buffer and walks the cores for A and O only; a STORE is about O of every core.

    Members
    -------
    i : In(stream of ISSUED)
    o : Out(stream of `run_layout`)
        Runs in the order core, plane, row (innermost); `last` marks the last one of an instruction.
    core_stride, memory_size : In(32)
        Bytes from a core's data to the next one's; bytes of a port's partition of the memory. Offsets for A and O are
        from a partition's start, in all of them at once; those for shared buffers count through the stripes of all,
        4 GiB at most.
    halt : In(1)
        No instruction is taken and nothing more is offered.
    active : Out(1)
        An instruction is being walked, or a run is on offer.
    error : Out(ERROR)
        ILLEGAL_FIELD (see `hdl.isa.rules`), LOCAL_ADDRESS (a run's last word is beyond the buffer),
        MEMORY_ADDRESS (a run's end is beyond the memory, or it does not start at a multiple of the word size). Such
        a run is not offered; `halt` from the next cycle on keeps back those behind it.

    Latency: `latency = 2` cycles from `i` to the first run; then a run per cycle, and a cycle between instructions.
    `i.ready` comes from registers.

    Raises: ValueError for another opcode.

    Source: ours.
    """

    i: stream.Interface
    o: stream.Interface
    core_stride: Signal
    memory_size: Signal
    halt: Signal
    active: Signal
    error: data.View

    latency = 2

    def __init__(self, config: AcceleratorConfig, opcode: Opcode):
        if opcode not in (Opcode.LOAD, Opcode.STORE):
            raise ValueError(f"opcode must be LOAD or STORE, not {opcode!r}")
        self.config = config
        self.opcode = opcode
        super().__init__(
            {
                "i": In(stream.Signature(ISSUED)),
                "o": Out(stream.Signature(run_layout(config))),
                "core_stride": In(32),
                "memory_size": In(32),
                "halt": In(1),
                "active": Out(1),
                "error": Out(ERROR),
            }
        )

    def _sizes(self):
        """Words of each buffer number; 0 for a number that is no buffer, which is refused before."""
        sizes = {buffer.value: self.config.words[buffer.name] for buffer in Buffer}
        return Array(sizes.get(number, 0) for number in range(1 << FIELD_BITS["buffer"]))

    def _stripes(self):
        """Bytes of the stripes of all partitions, as far as an offset can count."""
        more = ceil_log2(self.config.ports)
        return Mux(self.memory_size[MEMORY_BITS - more :].any(), 1 << MEMORY_BITS, self.memory_size << more)

    def elaborate(self, platform):
        m = Module()
        config, shift = self.config, ceil_log2(self.config.block)
        word = data.View(LAYOUT_OF[self.opcode], self.i.payload.word)
        buffer = word.buffer if self.opcode is Opcode.LOAD else int(Buffer.O)

        fields = Signal(
            data.StructLayout(
                {
                    **members(TRANSFER),
                    "buffer": FIELD_BITS["buffer"],
                    "signal": SEMAPHORES,
                    "index": INDEX_BITS,
                }
            ),
            reset_less=True,
        )
        walking = Signal()
        rows = Loop("row", word.rows, fields.rows)
        planes = Loop("plane", word.planes, fields.planes)
        core = Signal(core_bits(config), reset_less=True)
        # Positions of the present run, plane and core. One step beyond a legal run fits: a step that leaves the
        # buffer or the memory is found before the next one is made.
        local = Signal(LOCAL_BITS + 1, reset_less=True)
        local_plane = Signal(LOCAL_BITS + 1, reset_less=True)
        memory = Signal(MEMORY_BITS + 1, reset_less=True)
        memory_plane = Signal(MEMORY_BITS + 1, reset_less=True)
        memory_core = Signal(MEMORY_BITS + 1, reset_less=True)
        last_core = Signal()
        last = Signal()
        memory_end = Signal(MEMORY_BITS + 2)
        m.d.comb += [
            last_core.eq(~per_core(fields.buffer) | (core == config.port_cores - 1)),
            last.eq(rows.last & planes.last & last_core),
            memory_end.eq(memory + (fields.words << shift)),
        ]

        # The run on offer, with what its check needs.
        run = self.o.payload
        prepared = Signal()
        local_end = Signal(LOCAL_BITS + 2, reset_less=True)
        end = Signal(MEMORY_BITS + 2, reset_less=True)
        odd = Signal(reset_less=True)
        illegal = Signal(reset_less=True)
        local_bad = Signal()
        size = Mux(run.striped, self._stripes(), self.memory_size) if config.ports > 1 else self.memory_size
        bad = Signal()
        m.d.comb += [
            local_bad.eq(local_end > self._sizes()[run.buffer]),
            bad.eq(illegal | local_bad | odd | (end > size)),
            self.o.valid.eq(prepared & ~bad & ~self.halt),
            self.error.valid.eq(prepared & bad),
            self.error.code.eq(
                Mux(illegal, ErrorCode.ILLEGAL_FIELD, Mux(local_bad, ErrorCode.LOCAL_ADDRESS, ErrorCode.MEMORY_ADDRESS))
            ),
            self.error.index.eq(run.index),
        ]

        step = Signal()  # the present run moves to the output register
        m.d.comb += [
            step.eq(walking & ~self.halt & (~prepared | self.o.ready)),
            self.i.ready.eq(~walking & ~self.halt),
            self.active.eq(walking | prepared),
        ]
        with m.If(step):
            m.d.sync += [
                prepared.eq(1),
                local_end.eq(local + fields.words),
                end.eq(memory_end),
                odd.eq(memory[:shift].any()),
                illegal.eq(breaks_a_rule(fields, {self.opcode: 1}, config.block)),
                run.local.eq(local),
                run.first.eq(memory >> shift),
                run.final.eq((memory_end >> shift) - 1),
                run.core.eq(core),
                run.buffer.eq(fields.buffer),
                *([run.striped.eq(~per_core(fields.buffer))] if config.ports > 1 else []),
                run.last.eq(last),
                run.index.eq(fields.index),
                run.signal.eq(fields.signal),
                local.eq(local + fields.local_row),
                memory.eq(memory + fields.memory_row),
            ]
            rows.step(m)
            with m.If(rows.last):
                planes.step(m)
                m.d.sync += [signal.eq(local_plane + fields.local_plane) for signal in (local, local_plane)]
                m.d.sync += [signal.eq(memory_plane + fields.memory_plane) for signal in (memory, memory_plane)]
            with m.If(rows.last & planes.last):
                m.d.sync += core.eq(core + 1)
                m.d.sync += [signal.eq(fields.local) for signal in (local, local_plane)]
                m.d.sync += [
                    signal.eq(memory_core + self.core_stride) for signal in (memory, memory_plane, memory_core)
                ]
            with m.If(last):
                m.d.sync += walking.eq(0)
        with m.Elif(self.o.ready):
            m.d.sync += prepared.eq(0)

        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                walking.eq(1),
                *(fields[field.name].eq(word[field.name]) for field in TRANSFER),
                fields.buffer.eq(buffer),
                fields.signal.eq(word.signal),
                fields.index.eq(self.i.payload.index),
                core.eq(0),
                *(signal.eq(word.local) for signal in (local, local_plane)),
                *(signal.eq(word.memory) for signal in (memory, memory_plane, memory_core)),
            ]
            rows.start(m)
            planes.start(m)
        return m
