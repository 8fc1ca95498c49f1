"""Instruction fetch, queues, semaphores, registers and error handling."""
