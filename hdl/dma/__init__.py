"""LOAD and STORE: runs of an instruction, bursts, and the AXI masters."""
