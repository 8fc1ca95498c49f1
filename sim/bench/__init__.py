"""What a cocotb bench needs: `run_bench` and, inside a test, streams, stalls and payloads."""

from triovit.sim.bench.payload import pack, random_value, unpack, width_of
from triovit.sim.bench.runner import bench_parameters, build_bench, run_bench
from triovit.sim.bench.streams import CycleCounter, Stall, StreamSink, StreamSource, stall_patterns, start

__all__ = [
    "CycleCounter", "Stall", "StreamSink", "StreamSource", "bench_parameters", "build_bench", "pack",
    "random_value", "run_bench", "stall_patterns", "start", "unpack", "width_of",
]  # fmt: skip
