"""StreamPipeline."""

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tests.hdl.aux.bench_pipeline import Delay
from triovit.hdl.aux.pipeline import StreamPipeline
from triovit.sim.bench import run_bench


@pytest.mark.parametrize("latency", [1, 5])
def test_bench(latency):
    run_bench(
        StreamPipeline(Delay(latency)),
        "tests.hdl.aux.bench_pipeline",
        name=f"stream_pipeline_{latency}",
        parameters={"latency": latency},
    )


def test_takes_latency_and_model_from_the_kernel():
    kernel = Delay(3)
    pipeline = StreamPipeline(kernel)
    assert pipeline.latency == 3
    assert pipeline.model(5) == 5
    assert pipeline.i.payload.shape() == kernel.i.shape()
    assert pipeline.o.payload.shape() == kernel.o.shape()


class Odd(wiring.Component):
    """A component of the given members, for the checks of the constructor."""

    def __init__(self, latency=1, **members):
        self.latency = latency
        super().__init__({"i": In(4), "o": Out(4), "en": In(1)} | members)

    def elaborate(self, platform):
        return Module()


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (lambda: Odd(en=Out(1)), r"the port en: In\(\.\.\.\)"),
        (lambda: Odd(i=Out(4)), r"the port i: In\(\.\.\.\)"),
        (lambda: Odd(o=In(4)), r"the port o: Out\(\.\.\.\)"),
        (lambda: Odd(o=Out(4).array(2)), r"the port o: Out\(\.\.\.\)"),
        (lambda: Odd(i=In(wiring.Signature({"x": In(1)}))), r"the port i: In\(\.\.\.\)"),
        (lambda: Module(), r"the port i: In\(\.\.\.\)"),
        (lambda: Odd(latency=None), "latency must be an integer, not None"),
    ],
)
def test_kernel_must_be_one(kernel, message):
    with pytest.raises(TypeError, match=message):
        StreamPipeline(kernel())


def test_latency_must_not_be_zero():
    with pytest.raises(ValueError, match="latency must be at least 1, not 0"):
        StreamPipeline(Odd(latency=0))
    assert StreamPipeline(Odd(latency=1)).latency == 1
