"""Configurations of the accelerator."""
