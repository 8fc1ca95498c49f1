"""Boards and their FPGAs, and what of an FPGA a configuration takes."""
