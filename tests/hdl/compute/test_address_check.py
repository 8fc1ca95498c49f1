"""The check of addresses: the first and the last word that a step may read, and those beyond."""

import itertools

import pytest
from amaranth.sim import Simulator

from tests.sim.configurations import ODD, TINY, WIDEST
from triovit.hdl.compute.address_check import AddressCheck
from triovit.hdl.compute.steps import StepKind

CONV, DEPTHWISE, OUTER, ROW_SUM, LAYER_NORM = StepKind
FAR = (1 << 24) - 1  # the sum of the addresses wraps in 24 bits


def steps(config):
    """(step, whether it reads a word beyond a buffer), around the end of each buffer."""
    block = config.block
    plain = {"kind": CONV, "source": 0, "stationary": 0, "stride": 0, "count": block, "features": 0, "weights": 0}
    for source, words in enumerate((config.feature_words, config.output_words)):
        for kind, stride, count in itertools.product(StepKind, (0, 1), (1, 2, block)):
            reach = 0 if kind in (CONV, LAYER_NORM) else (count - 1) * (1 + stride)
            step = plain | {"kind": kind, "source": source, "stride": stride, "count": count}
            yield step | {"features": words - 1 - reach}, False
            yield step | {"features": words - reach}, True
            yield step | {"features": FAR}, True
    for kind, stationary in itertools.product(StepKind, (0, 1)):
        words = config.attention_words if stationary else config.weight_words
        reach = block - 1 if kind == CONV else 0
        step = plain | {"kind": kind, "stationary": stationary}
        yield step | {"weights": words - 1 - reach}, False
        for weights in (words - reach, FAR):
            yield step | {"weights": weights}, kind not in (OUTER, ROW_SUM)


@pytest.mark.parametrize("config", (TINY, ODD, WIDEST), ids=lambda config: config.name)
def test_every_edge(config):
    """A step per cycle, each once with and once without `en`; the answer comes `latency` cycles later."""
    dut = AddressCheck(config)
    given = [(step, en, beyond and en) for step, beyond in steps(config) for en in (True, False)]

    async def bench(ctx):
        for number in range(len(given) + dut.latency):
            if number < len(given):
                step, en, _ = given[number]
                ctx.set(dut.step, step | {"index": number})
                ctx.set(dut.en, en)
            else:
                ctx.set(dut.en, 0)
            if number >= dut.latency:
                before = number - dut.latency
                assert ctx.get(dut.fault) == given[before][2], given[before]
                assert ctx.get(dut.index) == before
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert sum(beyond for *_, beyond in given) > 50
