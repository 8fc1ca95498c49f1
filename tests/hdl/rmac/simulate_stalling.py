"""An array engine in Amaranth's simulator with random stalls, every cycle compared with a reference."""

from __future__ import annotations

import random

from amaranth.sim import Simulator

from triovit.sim.bench import pack, unpack


def simulate_engine(engine, reference, beats, seed: int) -> None:
    stall, beats = random.Random(seed), iter(beats)
    i, o = engine.i.payload, engine.o.payload

    async def bench(ctx):
        beat = waiting = next(beats)  # beat: on offer in this cycle
        while waiting is not None or reference.pending or reference.drain:
            beat = waiting if beat is not None or stall.random() < 0.7 else None
            o_ready = stall.random() < 0.7
            ctx.set(engine.i.valid, beat is not None)
            if beat is not None:
                ctx.set(i.as_value(), pack(i.shape(), beat))
            ctx.set(engine.o.ready, o_ready)
            ready, row = reference.outputs(beat, o_ready)
            assert beat is None or ctx.get(engine.i.ready) == ready
            assert ctx.get(engine.o.valid) == (row is not None)
            if row is not None:
                assert unpack(o.shape(), ctx.get(o.as_value())) == row
            reference.clock(beat, o_ready)
            if beat is not None and ready:
                beat, waiting = None, next(beats, None)
            await ctx.tick()

    simulator = Simulator(engine)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
