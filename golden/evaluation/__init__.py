"""Accuracy of networks on data sets."""
