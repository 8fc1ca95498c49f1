"""Synthesizable hardware in Amaranth."""
