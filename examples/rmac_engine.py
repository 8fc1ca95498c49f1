"""One engine on its own: the Verilog of a small R-MAC engine, and some of its cycles in Amaranth's simulator.

Needs the base installation and no C++ compiler:

    python examples/rmac_engine.py [FOLDER]

writes rmac.v, rmac.json (ports, modules, instances) and what they need to FOLDER, by default build/rmac. The engine is
a component with a stream in and a stream out, and nothing in it waits; docs/engines/rmac.md tells what a beat means in
each mode, and every latency and distance.
"""

import sys

import numpy as np
from amaranth.sim import Simulator

from triovit.hdl.emit.verilog import emit_verilog
from triovit.hdl.rmac.engine import RMACEngine
from triovit.hdl.rmac.operands import RMACMode

LANES, MACS = 4, 4  # the paper's core has 8 x 8
BEATS = 2  # of each accumulation: 8 input channels in POINTWISE, 2 taps of a kernel in DEPTHWISE
CYCLES = 30


def main() -> int:
    engine = RMACEngine(LANES, MACS)
    emitted = emit_verilog(engine, "rmac")
    print("wrote", *emitted.write(sys.argv[1] if len(sys.argv) > 1 else "build/rmac"))
    print("instances:", ", ".join(f"{count} {module}" for module, count in emitted.instances.items()))

    generator = np.random.default_rng(1)
    start = {RMACMode.POINTWISE: 0}
    start[RMACMode.DEPTHWISE] = BEATS - 1 + engine.spacing(RMACMode.POINTWISE, RMACMode.DEPTHWISE)
    beats, expected = {}, []  # payloads by cycle
    weights_at = np.zeros((CYCLES, LANES, MACS), dtype=int)
    for mode, cycle in start.items():
        features, weights = generator.integers(-127, 128, (2, BEATS, LANES, MACS))
        for k in range(BEATS):
            flags = {"first": k == 0, "last": k == BEATS - 1, "rows": LANES, "final": 1}
            beats[cycle + k] = {"features": features[k].tolist(), "mode": mode, **flags}
            for m in range(MACS):  # weights of POINTWISE come skewed: column m is m cycles late
                weights_at[cycle + k + (m if mode is RMACMode.POINTWISE else 0), :, m] = weights[k, :, m]
        expected += engine.model(mode, features, weights).tolist()  # one row of 4 channels, then one per pixel
    received = []

    async def bench(ctx):
        for cycle in range(CYCLES):
            beat = beats.get(cycle, {})
            ctx.set(engine.i.valid, bool(beat))
            ctx.set(engine.i.payload, {**beat, "weights": weights_at[cycle].tolist()})
            if beat:
                print(f"cycle {cycle:2}  in   {beat['mode'].name:9} last={int(beat['last'])}")
            if ctx.get(engine.o.valid):
                row = ctx.get(engine.o.payload)
                received.append(list(row.acc))
                print(f"cycle {cycle:2}  out  {received[-1]} last={row.last}")
            await ctx.tick()

    simulator = Simulator(engine)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()

    for mode in start:
        print(f"{mode.name}: first row {engine.latency(mode)} cycles after the last beat")
    equal = received == expected
    print("every row is the model's" if equal else f"the model has {expected}")
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
