"""Instruction fetch, queues, semaphores, sequencers, registers and error handling."""
