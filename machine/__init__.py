"""What the hardware does, in Python: the loops of instructions, the functional simulator, accesses, cycles, races."""
