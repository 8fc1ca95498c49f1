"""Ranges of tensors, from images."""
