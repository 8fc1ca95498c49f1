"""NumPy model of BankedMemory, and random accesses."""

from __future__ import annotations

import numpy as np


class BankedModel:
    """What `read_data` shows; words as integers, -1 for one that was never written, does not exist or is not read."""

    def __init__(self, words, banks, write_width, read_width):
        self.contents = np.full(1 << (words - 1).bit_length(), -1, dtype=object)
        self.words, self.banks = words, banks
        self.write_width, self.read_width = write_width, read_width
        self.shown = np.full(read_width, -1, dtype=object)

    def step(self, write_en, write_address, write_data, write_mask, read_en, read_address, read_double=0):
        """One clock edge: the read sees the contents before the write."""
        if read_en:
            lanes = read_address + np.arange(self.read_width) * (2 if read_double else 1)
            self.shown = self.contents[lanes % len(self.contents)]
            if read_double:
                self.shown[self.banks // 2 :] = -1
        if write_en:
            for lane in range(self.write_width):
                address = (write_address + lane) % len(self.contents)
                if write_mask >> lane & 1 and address < self.words:
                    self.contents[address] = write_data[lane]


def random_access(generator, words, word_bits, write_width, strides) -> dict:
    """One cycle's inputs; half of the reads are near the write."""
    where = generator.randrange(words)
    near = (where + generator.randint(-4, 4)) % words
    access = {
        "write_en": generator.random() < 0.7,
        "write_address": where,
        "write_data": [generator.getrandbits(word_bits) for _ in range(write_width)],
        "write_mask": generator.choice((0, (1 << write_width) - 1, generator.getrandbits(write_width))),
        "read_en": generator.random() < 0.7,
        "read_address": generator.choice((near, generator.randrange(words))),
    }
    if 2 in strides:
        access["read_double"] = generator.random() < 0.5
    return access
