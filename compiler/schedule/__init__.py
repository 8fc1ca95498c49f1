"""From steps to a sequence of instructions: tiling, transfers, places on chip, semaphores."""
