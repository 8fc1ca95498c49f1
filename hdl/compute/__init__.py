"""What a core computes with and what controls it: sequencers, operand and result control, the cores."""
