"""What LOAD and STORE have in common: an instruction becomes bursts, the first error stops the unit."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from triovit.hdl.bus.axi4 import Response
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.control.errors import ERROR
from triovit.hdl.control.ports import MemoryInterface, MemoryWindow
from triovit.hdl.dma.bursts import BurstSplitter, burst_layout
from triovit.hdl.dma.port_fork import PortFork
from triovit.hdl.dma.runs import RunWalker
from triovit.hdl.isa.layouts import ISSUED
from triovit.hdl.isa.names import ErrorCode, Opcode


class Transfer(wiring.Component):
    """Bursts of LOAD or STORE instructions.

    Parameters
    ----------
    config : AcceleratorConfig
    opcode : Opcode.LOAD or Opcode.STORE

    Members
    -------
    i : In(stream of ISSUED)
    o : Out(stream of `burst_layout`)
    memory : In(MemoryWindow(ports)), core_stride : In(32)
        Registers. Bytes; the stride is a multiple of the word size.
    response : In(ERROR)
        `valid`: the bus has answered a burst of instruction `index` with an error.
    error : Out(ERROR)
        ILLEGAL_FIELD, LOCAL_ADDRESS, MEMORY_ADDRESS (see `RunWalker`), or the response; one cycle.
    failed : Out(1)
        There was an error. Until it is reset nothing follows the first one: no instruction, burst or further error.
    active : Out(1)
        An instruction is being cut into bursts.

    Latency: `latency = 3` cycles from `i` to `o`; then a burst per cycle, also over runs, and a cycle between
    instructions. `i.ready` comes from registers.

    Raises: ValueError for another opcode.

    Source: ours.
    """

    i: stream.Interface
    o: stream.Interface
    memory: MemoryInterface
    core_stride: Signal
    failed: Signal
    active: Signal
    response: data.View
    error: data.View

    latency = RunWalker.latency + BurstSplitter.latency

    def __init__(self, config: AcceleratorConfig, opcode: Opcode):
        self.config, self.opcode = config, opcode
        self._walker = RunWalker(config, opcode)
        super().__init__(
            {
                "i": In(stream.Signature(ISSUED)),
                "o": Out(stream.Signature(burst_layout(config))),
                "memory": In(MemoryWindow(config.ports)),
                "core_stride": In(32),
                "response": In(ERROR),
                "error": Out(ERROR),
                "failed": Out(1),
                "active": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.walker = walker = self._walker
        m.submodules.splitter = splitter = BurstSplitter(self.config)
        connect(m, flipped(self.i), walker.i)
        connect(m, walker.o, splitter.i)
        connect(m, splitter.o, flipped(self.o))
        m.d.comb += [
            self.active.eq(walker.active),
            walker.halt.eq(self.failed),
            walker.core_stride.eq(self.core_stride),
            walker.memory_size.eq(self.memory.size),
            splitter.halt.eq(self.failed),
            splitter.memory_base.eq(self.memory.base),
            self.error.eq(Mux(self.response.valid, self.response, walker.error)),
            self.error.valid.eq((self.response.valid | walker.error.valid) & ~self.failed),
        ]
        with m.If(self.error.valid):
            m.d.sync += self.failed.eq(1)
        return m


def ask(m, fork: PortFork, burst, ports) -> None:
    """The length of a `Transfer`'s burst to `fork`, and from there with the port's address to the master of each."""
    m.d.comb += fork.i.payload.eq(burst.length)
    for port, (mine, master) in enumerate(zip(fork.o, ports, strict=True)):
        m.d.comb += [
            master.valid.eq(mine.valid),
            master.payload.length.eq(mine.payload),
            master.payload.address.eq(burst.address[port]),
            mine.ready.eq(master.ready),
        ]


def first_error(responses) -> tuple:
    """Whether any port's response is an error, and the first such port's response."""
    wrong = [response.matches(Response.SLVERR, Response.DECERR) for response in responses]
    first = responses[-1]
    for bad, response in reversed(list(zip(wrong[:-1], responses[:-1], strict=True))):
        first = Mux(bad, response, first)
    return Cat(*wrong).any(), first


def bus_error(bad, response, index, slave_error: ErrorCode, decode_error: ErrorCode, record) -> list:
    """Assignments to `record` (an ERROR): a burst of instruction `index` was answered with `response`, if `bad`."""
    return [
        record.valid.eq(bad),
        record.code.eq(Mux(response == Response.DECERR, decode_error, slave_error)),
        record.index.eq(index),
    ]
