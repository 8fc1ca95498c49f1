"""AXI4, AXI4-Lite, and the register slice of streams."""
