"""Integrity: codes of stored words, and what the machine does about words that have changed."""
