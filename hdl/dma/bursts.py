"""A run of words becomes AXI bursts."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from triovit.hdl.bus.axi4 import AXI_ADDRESS_BITS, PAGE_BYTES
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.dma.runs import LOCAL_BITS, MEMORY_BITS, run_layout, transfer_members


def burst_layout(config: AcceleratorConfig) -> data.StructLayout:
    """One burst. `length`: beats less one; `local`: on-chip address that lane 0 of the first beat would have.

    Lanes below `head` of the first beat and lanes above `tail` of the last beat are not part of the run.
    """
    lane_bits = ceil_log2(config.beat_words)
    return data.StructLayout(
        {
            "address": unsigned(AXI_ADDRESS_BITS),
            "length": unsigned(8),
            "local": unsigned(LOCAL_BITS),
            "head": unsigned(lane_bits),
            "tail": unsigned(lane_bits),
            **transfer_members(config),
        }
    )


def lane_mask(config: AcceleratorConfig, burst, first, final):
    """Lanes of a beat that belong to the run; `first`, `final`: it is the burst's first, last beat."""
    return Cat(
        ~(first & (lane < burst.head)) & ~(final & (lane > burst.tail)) if config.beat_words > 1 else Const(1, 1)
        for lane in range(config.beat_words)
    )


class BurstSplitter(wiring.Component):
    """Cuts runs at multiples of `burst_beats` beats, so that no burst is longer than that or crosses 4 KB.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    i : In(stream of `run_layout`)
    o : Out(stream of `burst_layout`)
        `last` is kept for the last burst of an instruction's last run.
    memory_base : In(64)
        Added to every address; the lowest 12 bits are taken as zero.
    halt : In(1)
        Nothing new is offered; a burst that is on offer stays.

    Latency: `latency = 1` cycle to a run's first burst, then one burst per cycle.

    Source: ours.
    """

    i: stream.Interface
    o: stream.Interface
    memory_base: Signal
    halt: Signal

    latency = 1

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        super().__init__(
            {
                "i": In(stream.Signature(run_layout(config))),
                "o": Out(stream.Signature(burst_layout(config))),
                "memory_base": In(AXI_ADDRESS_BITS),
                "halt": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self.config
        run, burst = self.i.payload, self.o.payload
        lanes, byte_bits = ceil_log2(config.beat_words), ceil_log2(config.data_bytes)
        window = ceil_log2(config.burst_beats)  # bits of a beat's place in its window of burst_beats beats
        beat_bits = MEMORY_BITS - byte_bits

        begun = Signal()  # earlier bursts of the present run have left
        next_window = Signal(beat_bits - window, reset_less=True)
        next_local = Signal(LOCAL_BITS, reset_less=True)
        beat = Signal(beat_bits)
        final_beat = Signal(beat_bits)
        local = Signal(LOCAL_BITS)
        head = Mux(begun, 0, run.first[:lanes])
        whole = Signal()
        length = Signal(8)
        offset = Signal(MEMORY_BITS)
        m.d.comb += [
            beat.eq(Mux(begun, Cat(Const(0, window), next_window), run.first[lanes:])),
            final_beat.eq(run.final[lanes:]),
            local.eq(Mux(begun, next_local, run.local - head)),
            whole.eq(beat[window:] == final_beat[window:]),  # the run ends in this window
            length.eq(Mux(whole, final_beat[:window], config.burst_beats - 1) - beat[:window]),
            offset.eq(beat << byte_bits),
        ]
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
                next_window.eq(beat[window:] + 1),
                # Of a burst that is not the run's last one.
                next_local.eq(local + ((config.burst_beats - beat[:window]) << lanes)),
                burst.address.eq(Cat(offset[:page], self.memory_base[page:] + offset[page:])),
                burst.length.eq(length),
                burst.local.eq(local),
                burst.head.eq(head),
                burst.tail.eq(Mux(whole, run.final[:lanes], config.beat_words - 1)),
                burst.core.eq(run.core),
                burst.buffer.eq(run.buffer),
                burst.last.eq(run.last & whole),
                burst.index.eq(run.index),
                burst.signal.eq(run.signal),
            ]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m
