"""Amaranth's simulator around a component."""

from __future__ import annotations

from amaranth.sim import Simulator


def simulate(dut, bench, clock: bool = True) -> None:
    """Run `bench(ctx)` on `dut`; clock: it has registers."""
    sim = Simulator(dut)
    if clock:
        sim.add_clock(1e-8)
    sim.add_testbench(bench)
    sim.run()


def drive(ctx, dut, **inputs) -> None:
    """Set inputs by name."""
    for name, value in inputs.items():
        ctx.set(getattr(dut, name), value)
