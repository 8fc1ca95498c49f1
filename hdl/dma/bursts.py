"""A run of words becomes AXI bursts."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from triovit.hdl.bus.axi4 import AXI_ADDRESS_BITS, PAGE_BYTES
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.dma.runs import LOCAL_BITS, MEMORY_BITS, per_core, run_layout, transfer_members


def burst_layout(config: AcceleratorConfig) -> data.StructLayout:
    """One burst of each port. `address`: each port's; `length`: beats less one; `local`: on-chip address that lane 0 of
    the first beat would have.

    Lanes below `head` of the first beat and lanes above `tail` of the last beat are not part of the run. The lanes of a
    beat are those of one port, all ports alike, or of all ports together, where all cores share the buffer.
    """
    lane_bits = ceil_log2(config.bus_words)
    return data.StructLayout(
        {
            "length": unsigned(8),
            "local": unsigned(LOCAL_BITS),
            "head": unsigned(lane_bits),
            "tail": unsigned(lane_bits),
            **transfer_members(config),
            "address": data.ArrayLayout(AXI_ADDRESS_BITS, config.ports),
        }
    )


def listed_bits(config: AcceleratorConfig) -> int:
    """Bits of a burst that a list of bursts under way keeps: the addresses of further ports, the last ones of the
    layout, are of no use there."""
    return burst_layout(config).size - AXI_ADDRESS_BITS * (config.ports - 1)


def lane_mask(lanes: int, burst, first, final):
    """Which of the lowest `lanes` lanes of a beat belong to the run; `first`, `final`: it is the burst's first, last
    beat."""
    return Cat(
        ~(first & (lane < burst.head)) & ~(final & (lane > burst.tail)) if len(burst.head) else Const(1, 1)
        for lane in range(lanes)
    )


def words_of_beat(config: AcceleratorConfig, buffer):
    """Words that a beat of a run advances, on the chip and in memory offsets."""
    return config.beat_words if config.ports == 1 else Mux(per_core(buffer), config.beat_words, config.bus_words)


class BurstSplitter(wiring.Component):
    """Cuts runs at multiples of `burst_beats` beats, so that no burst is longer than that or crosses 4 KB.

    All ports have the same bursts, each in its own partition of the memory. A run of a buffer that all cores share is
    striped: its consecutive beats are in one partition after the other, so that a burst of each port brings them all.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    i : In(stream of `run_layout`)
    o : Out(stream of `burst_layout`)
        `last` is kept for the last burst of an instruction's last run.
    memory_base : In(ArrayLayout(64, ports))
        Added to the addresses of each port; the lowest 12 bits are taken as zero.
    halt : In(1)
        Nothing new is offered; a burst that is on offer stays.

    Latency: `latency = 1` cycle to a run's first burst, then one burst per cycle.

    Source: ours.
    """

    i: stream.Interface
    o: stream.Interface
    memory_base: data.View
    halt: Signal

    latency = 1

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        super().__init__(
            {
                "i": In(stream.Signature(run_layout(config))),
                "o": Out(stream.Signature(burst_layout(config))),
                "memory_base": In(data.ArrayLayout(AXI_ADDRESS_BITS, config.ports)),
                "halt": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        run, burst = self.i.payload, self.o.payload
        lanes, byte_bits = ceil_log2(config.beat_words), ceil_log2(config.data_bytes)
        # Low bits of a word number that are its lane; of a striped run they have the port, too.
        all_lanes = ceil_log2(config.bus_words)
        lane_bits = Signal(all_lanes)

        def by_run(alone, striped):
            return alone if config.ports == 1 else Mux(run.striped, striped, alone)

        m.d.comb += lane_bits.eq(by_run(config.beat_words, config.bus_words) - 1)

        def beat_of(word):
            return by_run(word[lanes:], word[all_lanes:])

        window = ceil_log2(config.burst_beats)  # bits of a beat's place in its window of burst_beats beats
        beat_bits = MEMORY_BITS - byte_bits

        begun = Signal()  # earlier bursts of the present run have left
        # Numbers of windows are compared as they stand in word numbers, with no choice in front. Those of striped runs
        # begin some bits higher.
        below = all_lanes - lanes
        first_window, final_window = run.first[lanes + window :], run.final[lanes + window :]
        next_window = Signal.like(first_window, name="next_window", reset_less=True)

        def ends_in(number):
            """The run ends in the window of this number."""
            return (number[below:] == final_window[below:]) & by_run(number[:below] == final_window[:below], 1)

        next_local = Signal(LOCAL_BITS, reset_less=True)
        beat = Signal(beat_bits)
        final_beat = Signal(beat_bits)
        local = Signal(LOCAL_BITS)
        head = Mux(begun, 0, run.first[:all_lanes] & lane_bits)
        whole = Signal()
        length = Signal(8)
        offset = Signal(MEMORY_BITS)
        m.d.comb += [
            beat.eq(Mux(begun, Cat(Const(0, window), by_run(next_window, next_window[below:])), beat_of(run.first))),
            final_beat.eq(beat_of(run.final)),
            local.eq(Mux(begun, next_local, run.local - head)),
            whole.eq(Mux(begun, ends_in(next_window), ends_in(first_window))),
            length.eq(Mux(whole, final_beat[:window], config.burst_beats - 1) - beat[:window]),
            offset.eq(beat << byte_bits),
        ]
        rest = config.burst_beats - beat[:window]
        room = Signal()
        load = Signal()
        page = ceil_log2(PAGE_BYTES)
        m.d.comb += [
            room.eq(~self.halt & (~self.o.valid | self.o.ready)),
            load.eq(self.i.valid & room),
            self.i.ready.eq(room & whole),
        ]
        with m.If(load):
            m.d.sync += [
                self.o.valid.eq(1),
                begun.eq(~whole),
                next_window.eq(by_run(beat[window:] + 1, Cat(Const(0, below), beat[window:] + 1))),
                # Of a burst that is not the run's last one.
                next_local.eq(local + by_run(rest << lanes, rest << all_lanes)),
                *(
                    burst.address[port].eq(Cat(offset[:page], self.memory_base[port][page:] + offset[page:]))
                    for port in range(config.ports)
                ),
                burst.length.eq(length),
                burst.local.eq(local),
                burst.head.eq(head),
                burst.tail.eq(Mux(whole, run.final[:all_lanes] & lane_bits, lane_bits)),
                burst.core.eq(run.core),
                burst.buffer.eq(run.buffer),
                burst.last.eq(run.last & whole),
                burst.index.eq(run.index),
                burst.signal.eq(run.signal),
            ]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m
