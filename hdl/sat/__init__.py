"""Shifter-adder tree of M2-ViT: products with APoT weights by shifts and additions."""
