"""One engine on its own: the Verilog of a small R-MAC engine, and some of its cycles in Amaranth's simulator.

Needs the base installation and no C++ compiler:

    python examples/rmac_engine.py [FOLDER]

writes rmac.v and rmac.json (ports, modules, instances) to FOLDER, by default build/rmac. The engine is a component
with a stream in and a stream out; docs/engines/rmac.md tells what a beat means in each mode, and every latency.
"""

import sys

import numpy as np
from amaranth.sim import Simulator

from triovit.hdl.emit.verilog import emit_verilog
from triovit.hdl.rmac.stalling import RMACEngine, RMACMode

LANES, MACS = 4, 4  # the paper's core has 8 x 8
BEATS = 2  # of each accumulation: 8 input channels in POINTWISE, 2 taps of a kernel in DEPTHWISE
CYCLES = 30


def main() -> int:
    engine = RMACEngine(LANES, MACS)
    emitted = emit_verilog(engine, "rmac")
    print("wrote", *emitted.write(sys.argv[1] if len(sys.argv) > 1 else "build/rmac"))
    print("instances:", ", ".join(f"{count} {module}" for module, count in emitted.instances.items()))

    generator, beats, expected = np.random.default_rng(1), [], []
    for mode in (RMACMode.POINTWISE, RMACMode.DEPTHWISE):
        features, weights = generator.integers(-128, 128, (2, BEATS, LANES, MACS))
        for k in range(BEATS):
            ends = {"first": k == 0, "last": k == BEATS - 1, "rows": LANES}
            beats.append({"features": features[k].tolist(), "weights": weights[k].tolist(), "mode": mode, **ends})
        expected += engine.model(mode, features, weights).tolist()  # one row of 4 channels, then one per pixel
    received = []

    async def bench(ctx):
        i, o, waiting = engine.i, engine.o, list(beats)
        ctx.set(o.ready, 1)  # every row is taken at once
        for cycle in range(CYCLES):
            ctx.set(i.valid, bool(waiting))
            if waiting:
                ctx.set(i.payload, waiting[0])
                if ctx.get(i.ready):  # the beat is accepted in this cycle
                    beat = waiting.pop(0)
                    print(f"cycle {cycle:2}  in   {beat['mode'].name:9} last={int(beat['last'])}")
            if ctx.get(o.valid):
                row = ctx.get(o.payload)
                received.append(list(row.acc))
                print(f"cycle {cycle:2}  out  {received[-1]} last={row.last}")
            await ctx.tick()

    simulator = Simulator(engine)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()

    for mode in (RMACMode.POINTWISE, RMACMode.DEPTHWISE):
        print(f"{mode.name}: first row {engine.latency(mode)} cycles after the last beat")
    equal = received == expected
    print("every row is the model's" if equal else f"the model has {expected}")
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
