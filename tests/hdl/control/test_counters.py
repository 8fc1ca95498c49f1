import random

from amaranth.sim import Simulator

from triovit.hdl.control.counters import Counters
from triovit.hdl.isa.registers import COUNTERS

NAMES = [name.lower() for name, _ in COUNTERS]


def test_counts():
    dut, generator = Counters(), random.Random(1)
    model = dict.fromkeys([*NAMES, "cycles"], 0)

    async def bench(ctx):
        for _ in range(400):
            events = {name: generator.random() < 0.5 for name in NAMES}
            count, clear = generator.random() < 0.8, generator.random() < 0.01
            for name, value in {**events, "count": count, "clear": clear}.items():
                ctx.set(getattr(dut, name), value)
            await ctx.tick()
            for name in model:
                model[name] = 0 if clear else model[name] + (count and events.get(name, True))
            assert ctx.get(dut.cycles) == model["cycles"]
            assert {name: ctx.get(getattr(dut, f"{name}_count")) for name in NAMES} == {
                name: model[name] for name in NAMES
            }

    sim = Simulator(dut)
    sim.add_clock(1e-8)
    sim.add_testbench(bench)
    sim.run()
    assert dut.latency == 1
