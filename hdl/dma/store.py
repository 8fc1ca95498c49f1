"""STORE: planes of words from buffer O to AXI memory."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from triovit.hdl.bus.axi4 import BURST, write_beat
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.control.ports import MemoryInterface, MemoryWindow, UnitInterface, UnitPort
from triovit.hdl.dma.bursts import lane_mask, listed_bits
from triovit.hdl.dma.port_fork import PortFork
from triovit.hdl.dma.port_join import PortJoin
from triovit.hdl.dma.ports import READ_LATENCY, BufferRead, ReadInterface
from triovit.hdl.dma.runs import LOCAL_BITS
from triovit.hdl.dma.transfer import Transfer, ask, bus_error, first_error
from triovit.hdl.integrity.parity_queue import queue
from triovit.hdl.isa.instructions import SEMAPHORES
from triovit.hdl.isa.layouts import INDEX_BITS
from triovit.hdl.isa.names import ErrorCode, Opcode

# Beats between O and the bus. A beat's place is taken with the request and free again 3 + READ_LATENCY cycles later at
# the earliest, so that many are enough to read O in every cycle.
BEAT_BUFFER = 8
assert BEAT_BUFFER >= 3 + READ_LATENCY

# What is known of a burst when its response comes.
_ANSWER = data.StructLayout({"last": 1, "index": unsigned(INDEX_BITS), "signal": unsigned(SEMAPHORES)})


class StoreUnit(wiring.Component):
    """Executes STORE instructions: reads buffer O of every core and is the client of the write masters.

    Addresses of the next bursts go out while data of earlier ones does. As in a LOAD, words keep their lanes: lane l
    of a beat is the word at on-chip address `local + l`, with strobes off for lanes outside the run, and for all lanes
    of a core that does not take part. All ports have the same bursts, each in its own partition, with the words of its
    cores; a burst is over when each has its answer.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    unit : Out(UnitPort())
        STORE instructions (the opcode is not looked at); `trace.done` and `signal` in the cycle in which the answer to
        an instruction's last burst comes. Errors: LOCAL_ADDRESS, MEMORY_ADDRESS, ILLEGAL_FIELD (see `RunWalker`),
        WRITE_SLVERR, WRITE_DECERR (of several ports that of the lowest number). The unit stops at an error, until it is
        reset: no instruction is taken or finished any more. Idle when no burst is under way and there is nothing to do.
    aw : Out(stream of BURST), w : Out(stream of `write_beat`), answered : In(1), response : In(2); arrays, ports each
        Client port of the `WriteMaster` of each port.
    read : Out(BufferRead(config))
    memory : In(MemoryWindow(ports)), core_stride : In(32)
        Registers. Bytes; the stride is a multiple of the word size.
    damaged : Out(1), with `integrity` only
        A bit has flipped in a queue here.

    Latency: `latency = 3` cycles from `unit.i` to `aw`, `read_latency = 5` to the first `read.valid`, `data_latency` =
    1 + READ_LATENCY from the grant to `w`. Initiation interval: one beat and one burst per cycle, without a gap between
    runs, planes and cores; an instruction's first burst comes a cycle after the burst before. The outputs of `read`
    are registers. A reset is safe at any time: see `WriteMaster`.

    Source: ours; decoupled access and execution as in VTA.
    """

    unit: UnitInterface
    aw: list[stream.Interface]
    w: list[stream.Interface]
    answered: list[Signal]
    response: list[Signal]
    read: ReadInterface
    memory: MemoryInterface
    core_stride: Signal
    damaged: Signal

    latency = Transfer.latency
    read_latency = Transfer.latency + 2
    data_latency = READ_LATENCY + 1

    def __init__(self, config: AcceleratorConfig):
        self.config = config.validate()
        super().__init__(
            {
                "unit": Out(UnitPort()),
                "aw": Out(stream.Signature(BURST)).array(config.ports),
                "w": Out(stream.Signature(write_beat(config.data_bytes))).array(config.ports),
                "answered": In(1).array(config.ports),
                "response": In(2).array(config.ports),
                "read": Out(BufferRead(config)),
                "memory": In(MemoryWindow(config.ports)),
                "core_stride": In(32),
                **({"damaged": Out(1)} if config.integrity else {}),
            }
        )

    def _reads(self, m, data_list, layout, taken):
        """Asks O for the beats of the bursts on the list, one after the other; `taken`: beats that leave each port's
        buffer.

        Returns the grant, and the lanes of its beat that belong to the run.
        """
        config, read = self.config, self.read
        burst = Signal(layout)
        count = Signal(8)
        final = Signal()
        local = Signal(LOCAL_BITS, reset_less=True)  # of the burst's next beat, if it is not the first
        address = Signal(LOCAL_BITS)
        mask = Signal(config.beat_words, reset_less=True)
        # Places of each port that are neither filled nor asked for.
        free = [Signal(range(BEAT_BUFFER + 1), init=BEAT_BUFFER, name=f"free_{port}") for port in range(len(taken))]
        step = Signal()
        granted = Signal()
        if config.integrity:
            m.d.comb += read.mask.eq(mask)
        m.d.comb += [
            burst.eq(data_list.r_data),
            final.eq(count == burst.length),
            address.eq(Mux(count == 0, burst.local, local)),
            step.eq(data_list.r_rdy & Cat(left != 0 for left in free).all() & (~read.valid | read.ready)),
            granted.eq(read.valid & read.ready),
            data_list.r_en.eq(step & final),
        ]
        m.d.sync += [left.eq(left - step + leaves) for left, leaves in zip(free, taken, strict=True)]
        with m.If(step):
            m.d.sync += [
                read.valid.eq(1),
                read.core.eq(burst.core),
                read.address.eq(address),
                mask.eq(lane_mask(config.beat_words, burst, count == 0, final)),
                count.eq(Mux(final, 0, count + 1)),
                local.eq(address + config.beat_words),
            ]
        with m.Elif(read.ready):
            m.d.sync += read.valid.eq(0)
        return granted, mask

    def _beats(self, m, beats, granted, mask):
        """Puts what O answers into the ports' buffers, and from there to the bus."""
        config = self.config
        arrives = granted
        for stage in range(READ_LATENCY):
            strobe = Signal(name=f"arrives_{stage}")
            lanes = Signal(config.beat_words, name=f"lanes_{stage}", reset_less=True)
            m.d.sync += [strobe.eq(arrives), lanes.eq(mask)]
            arrives, mask = strobe, lanes
        for port, (kept, w) in enumerate(zip(beats, self.w, strict=True)):
            entry = Signal(w.payload.shape(), name=f"entry_{port}")
            m.d.comb += [
                entry.data.eq(self.read.data[port]),
                entry.strobes.eq(Cat((enabled & self.read.active[port]).replicate(config.block) for enabled in mask)),
                kept.w_data.eq(entry),
                kept.w_en.eq(arrives),
                w.valid.eq(kept.r_rdy),
                w.payload.eq(kept.r_data),
                kept.r_en.eq(w.ready),
            ]

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.transfer = transfer = Transfer(config, Opcode.STORE)
        layout = transfer.o.payload.shape()
        integrity = config.integrity
        data_list = queue(m, "data_list", listed_bits(config), config.write_bursts, integrity=integrity)
        answers = queue(m, "answers", _ANSWER.size, config.write_bursts, integrity=integrity)
        beats = [
            queue(m, f"beats{port or ''}", w.payload.shape().size, BEAT_BUFFER, integrity=integrity)
            for port, w in enumerate(self.w)
        ]
        m.submodules.fork = fork = PortFork(unsigned(8), config.ports)
        # No port has more answers than there are bursts on the list.
        m.submodules.join = join = PortJoin(unsigned(2), config.ports, config.write_bursts, integrity=integrity)
        if integrity:
            m.d.comb += self.damaged.eq(Cat(part.damaged for part in (data_list, answers, *beats, join)).any())
        unit, bursts = self.unit, transfer.o
        connect(m, flipped(unit.i), transfer.i)
        connect(m, flipped(self.memory), transfer.memory)
        # A burst goes to the bus and onto both lists at once.
        room = Signal()
        go = Signal()
        m.d.comb += [
            transfer.core_stride.eq(self.core_stride),
            unit.trace.start.eq(unit.i.valid & unit.i.ready),
            unit.trace.start_index.eq(unit.i.payload.index),
            room.eq(data_list.w_rdy & answers.w_rdy),
            fork.i.valid.eq(bursts.valid & room),
            bursts.ready.eq(fork.i.ready & room),
            go.eq(bursts.valid & bursts.ready),
            data_list.w_en.eq(go),
            data_list.w_data.eq(bursts.payload),
            answers.w_en.eq(go),
            answers.w_data.eq(Cat(bursts.payload.last, bursts.payload.index, bursts.payload.signal)),
        ]
        ask(m, fork, bursts.payload, self.aw)
        granted, mask = self._reads(m, data_list, layout, [kept.r_rdy & kept.r_en for kept in beats])
        self._beats(m, beats, granted, mask)

        answer = Signal(_ANSWER)
        answered = Signal()
        bad = Signal()
        for port, come, response in zip(join.i, self.answered, self.response, strict=True):
            m.d.comb += [port.valid.eq(come), port.payload.eq(response)]
        wrong, response = first_error([join.o.payload[port] for port in range(config.ports)])
        m.d.comb += [
            join.o.ready.eq(1),
            answered.eq(join.o.valid),
            answer.eq(answers.r_data),
            answers.r_en.eq(answered),
            bad.eq(answered & wrong),
            unit.trace.done.eq(answered & answer.last & ~bad & ~transfer.failed),
            unit.trace.done_index.eq(answer.index),
            unit.signal.eq(Mux(unit.trace.done, answer.signal, 0)),
            *bus_error(bad, response, answer.index, ErrorCode.WRITE_SLVERR, ErrorCode.WRITE_DECERR, transfer.response),
            unit.error.eq(transfer.error),
            # A burst whose answer has come is over: its data list entry and its beats are gone, too.
            unit.idle.eq(~transfer.active & ~bursts.valid & ~answers.r_rdy),
            unit.busy.eq(~unit.idle),
        ]
        return m
