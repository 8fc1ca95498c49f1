"""Simulation: cocotb benches on emitted Verilog, whole networks on verilated RTL."""
