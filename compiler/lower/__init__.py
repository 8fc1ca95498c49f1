"""Lowering: one file per kind of layer, from a node to the steps that compute it on the machine."""
