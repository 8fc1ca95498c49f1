"""cocotb side of test_bench: an adder stage behind a one-entry register."""

import random

import cocotb
from amaranth.hdl import signed
from amaranth.lib import data

from sim.bench import StreamSink, StreamSource, bench_parameters, pack, random_value, stall_patterns, start, unpack

OPERANDS = data.StructLayout({"a": signed(8), "b": data.ArrayLayout(signed(5), 2)})


@cocotb.test()
@cocotb.parametrize(source_stall=["none", "random", "long"], sink_stall=["none", "random", "long"])
async def sums_come_out_in_order_after_one_cycle(dut, source_stall, sink_stall):
    await start(dut)
    generator = random.Random(f"{source_stall} {sink_stall}")
    operands = [random_value(OPERANDS, generator) for _ in range(bench_parameters()["count"])]
    source = StreamSource(dut, "i", dut.clk, stall_patterns(1)[source_stall])
    sink = StreamSink(dut, "o", dut.clk, stall_patterns(2)[sink_stall])
    source.send(pack(OPERANDS, value) for value in operands)
    payloads = await sink.collect(len(operands))
    assert [unpack(signed(10), bits) for bits in payloads] == [v["a"] + v["b"][0] - v["b"][1] for v in operands]
    for index, (sent, received) in enumerate(zip(source.cycles, sink.cycles, strict=True)):
        assert received >= sent + 1
        if index == 0 or sink_stall == "none":
            assert sink_stall != "none" or received == sent + 1
    if source_stall == sink_stall == "none":
        assert source.cycles == list(range(source.cycles[0], source.cycles[0] + len(operands)))
