"""Ports between LOAD or STORE and the on-chip buffers."""

from __future__ import annotations

from amaranth.hdl import Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.dma.runs import LOCAL_BITS, core_bits


def beat_words(config: AcceleratorConfig) -> data.ArrayLayout:
    """A beat of a port as on-chip words."""
    return data.ArrayLayout(unsigned(8 * config.block), config.beat_words)


def port_beats(config: AcceleratorConfig) -> data.ArrayLayout:
    """A beat of each port."""
    return data.ArrayLayout(beat_words(config), config.ports)


def bus_words(config: AcceleratorConfig) -> data.ArrayLayout:
    """The same as a row of words, those of the first port first: consecutive words of a striped run."""
    return data.ArrayLayout(unsigned(8 * config.block), config.bus_words)


class WriteInterface(wiring.PureInterface):
    """Members of a `BufferWrite`."""

    valid: Signal
    ready: Signal
    buffer: Signal
    core: Signal
    address: Signal
    data: data.View
    mask: Signal


class BufferWrite(wiring.Signature):
    """LOAD's write port; directions of LOAD.

    Members
    -------
    valid : Out(1), ready : In(1)
        One beat of each port for a buffer; held until ready.
    buffer : Out(3), core : Out(bits of port_cores - 1)
        `isa.Buffer`, and for A and O the core, counted from each port's first one: port i's beat is for core
        i * port_cores + core. A shared buffer gets all beats, one behind the other.
    address : Out(20)
        On-chip word of lane 0, modulo 2**20 (lanes outside the run can lie before the buffer's beginning).
    data : Out(port_beats), mask : Out(bus_words)
        mask: for A and O the lanes of a port's beat, the same for all ports.
    """

    def __init__(self, config: AcceleratorConfig):
        super().__init__(
            {
                "valid": Out(1),
                "ready": In(1),
                "buffer": Out(3),
                "core": Out(core_bits(config)),
                "address": Out(LOCAL_BITS),
                "data": Out(port_beats(config)),
                "mask": Out(config.bus_words),
            }
        )


READ_LATENCY = 5
"""Cycles from the grant of a `BufferRead` to its data."""


class ReadInterface(wiring.PureInterface):
    """Members of a `BufferRead`."""

    valid: Signal
    ready: Signal
    core: Signal
    address: Signal
    mask: Signal
    data: data.View
    active: Signal


class BufferRead(wiring.Signature):
    """STORE's read port of O; directions of STORE.

    Members
    -------
    valid : Out(1), ready : In(1)
        A read, held until it is granted; `ready` grants it in this cycle.
    core : Out(bits of port_cores - 1), address : Out(20)
        Core of each port, counted from its first one, and on-chip word of lane 0, modulo 2**20.
    mask : Out(beat_words), with `integrity` only
        Lanes that are needed.
    data : In(port_beats)
        The words for each port, `READ_LATENCY` cycles after the grant.
    active : In(ports)
        With the words, of each port: the core takes part; else they are not written to memory.
    """

    def __init__(self, config: AcceleratorConfig):
        super().__init__(
            {
                "valid": Out(1),
                "ready": In(1),
                "core": Out(core_bits(config)),
                "address": Out(LOCAL_BITS),
                "data": In(port_beats(config)),
                "active": In(config.ports),
                **({"mask": Out(config.beat_words)} if config.integrity else {}),
            }
        )
