"""cocotb side of test_bench: values, order and cycles of a one-cycle stage, under all stall patterns."""

import random

import cocotb
from amaranth.hdl import signed

from tests.sim.bench.sum_stage import OPERANDS
from triovit.sim.bench import (
    StreamSink,
    StreamSource,
    bench_parameters,
    pack,
    random_value,
    stall_patterns,
    start,
    unpack,
)


@cocotb.test()
@cocotb.parametrize(source_stall=["none", "random", "long"], sink_stall=["none", "random", "long"])
async def sums_come_out_in_order_after_one_cycle(dut, source_stall, sink_stall):
    await start(dut)
    dut.fault.value = bench_parameters().get("fault", 0)
    generator = random.Random(f"{source_stall} {sink_stall}")
    operands = [random_value(OPERANDS, generator) for _ in range(bench_parameters()["count"])]
    source = StreamSource(dut, "i", dut.clk, stall_patterns(1)[source_stall])
    sink = StreamSink(dut, "o", dut.clk, stall_patterns(2)[sink_stall])
    source.send(pack(OPERANDS, value) for value in operands)
    payloads = await sink.collect(len(operands), timeout=20 * len(operands))
    assert [unpack(signed(10), bits) for bits in payloads] == [v["a"] + v["b"][0] - v["b"][1] for v in operands]
    if sink_stall == "none":
        assert sink.cycles == [cycle + 1 for cycle in source.cycles]
    assert all(received > sent for sent, received in zip(source.cycles, sink.cycles, strict=True))
    if source_stall == sink_stall == "none":
        assert source.cycles == list(range(source.cycles[0], source.cycles[0] + len(operands)))
    assert source.idle and source.payloads == [pack(OPERANDS, value) for value in operands]


@cocotb.test()
async def finite_pattern_stalls_as_written(dut):
    await start(dut)
    source = StreamSource(dut, "i", dut.clk, [False, True, True, False])
    sink = StreamSink(dut, "o", dut.clk)
    source.send([pack(OPERANDS, {"a": value, "b": [0, 0]}) for value in range(4)])
    assert await sink.collect(4) == [0, 1, 2, 3]
    first = source.cycles[0]
    assert source.cycles == [first, first + 3, first + 4, first + 5]
    await source.drain(0 + 1)
