"""The integer network on whole batches, fast (PyTorch); equal to `golden.integer.execute` in every value."""
