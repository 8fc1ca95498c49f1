"""What the hardware does, in Python: the functional simulator, the accesses of instructions, races."""
