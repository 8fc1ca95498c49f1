"""Engines without beats: nothing moves in front of them while another engine works on the same buffers."""

import random

import pytest
from amaranth.sim import Simulator

from tests.sim.configurations import TINY
from triovit.hdl.aux import layer_norm
from triovit.hdl.compute import pair_path
from triovit.hdl.compute.beats import FeatureSource
from triovit.hdl.rmac.operands import RMACMode

# What a working engine's control says in every cycle; that of the others is zero.
WORKS = {
    "rmac": {"operands": {"word": 1, "window": 1}, "beat": {"rmac_valid": 1}},
    "mat": {"operands": {"mat_word": 1}, "beat": {"mat_valid": 1, "mat_first": 1, "mat_last": 1}},
    "norm": {"operands": {"word": 1}, "beat": {"norm_valid": 1}},
}
# The first one that is made: of layer norm's first product, for the squares.
PARTS = {"rmac": (pair_path, "RMACEngine"), "mat": (pair_path, "MATEngine"), "norm": (layer_norm, "MultiplyAdd")}


@pytest.fixture
def path(monkeypatch):
    """The data path, and what it makes in `elaborate`, by name."""
    made = {}

    def watched(name, kind):
        def make(*arguments, **options):
            component = kind(*arguments, **options)
            made.setdefault(name, component)
            return component

        return make

    for name, (module, kind) in PARTS.items():
        monkeypatch.setattr(module, kind, watched(name, getattr(module, kind)))
    return pair_path.PairPath(TINY), made


@pytest.mark.parametrize("working", WORKS)
def test_operands_of_idle_engines_do_not_change(path, working):
    """Words of the buffers change in every cycle; so do the working engine's operands, and no other's."""
    dut, made = path
    choose, seen = random.Random(working), {}

    async def bench(ctx):
        control = {"operands": {"features": FeatureSource.A}, "beat": {"mode": RMACMode.POINTWISE}}
        control = {part: control[part] | WORKS[working][part] for part in control}
        words = [getattr(dut.operands, name).as_value() for name in ("a", "o", "b_word")]
        operands = {name: made[name].i.payload.features.as_value() for name in ("rmac", "mat")}
        operands["norm"] = made["norm"].a
        for cycle in range(80):
            for word in words:
                ctx.set(word, choose.getrandbits(len(word)))
            ctx.set(dut.control, control)
            await ctx.tick()
            if cycle >= 30:  # nothing is left of what was there before
                for name, value in operands.items():
                    seen.setdefault(name, set()).add(ctx.get(value))

    simulator = Simulator(dut)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    assert len(seen["mat"]) == (50 if working == "mat" else 1)
    assert len(seen["rmac"]) == (1 if working == "mat" else 50)  # layer norm's word is in the R-MAC's register
    assert len(seen["norm"]) > 20 if working == "norm" else len(seen["norm"]) == 1
