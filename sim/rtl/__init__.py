"""Whole networks on the emitted Verilog: harness, memory model, and what drives them."""
