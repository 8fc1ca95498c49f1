"""Block-wise reconstruction: learned weight rounding and learned activation scales."""
