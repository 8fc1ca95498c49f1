"""How nested loops step through the words of one buffer."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Walk:
    """Words that the turns of a nest of loops use.

    space: the buffer, "divisor" or "memory". base: first word of the first turn. strides: words from one turn of a
    loop to the next, outermost loop first; loops beyond the last stride do not move it. words: consecutive words at
    every turn.
    """

    space: str
    base: int
    strides: tuple[int, ...]
    words: int = 1

    def index(self, counts: tuple[int, ...]) -> np.ndarray:
        """Every turn's words: an axis for each loop, of length 1 where the walk stands still, and one for the words."""
        index = np.asarray(self.base, dtype=np.int64)
        for level, count in enumerate(counts):
            stride = self.strides[level] if level < len(self.strides) else 0
            index = index[..., None] + np.arange(count if stride else 1, dtype=np.int64) * stride
        return index[..., None] + np.arange(self.words)

    def every(self, counts: tuple[int, ...]) -> np.ndarray:
        """The words of all turns in their order, as one row, again where the walk stands still."""
        return np.broadcast_to(self.index(counts), (*counts, self.words)).reshape(-1)

    def distinct(self, counts: tuple[int, ...]) -> np.ndarray:
        """The words of all turns, each once, in rising order."""
        loops = (*zip(counts, self.strides, strict=False), (self.words, 1))
        return self.base + _distinct(tuple(sorted((stride, count) for count, stride in loops if count > 1 and stride)))


@functools.lru_cache(maxsize=4096)
def _distinct(loops: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Distinct sums of the turns of loops (stride, count), which rise in stride."""
    # Loops that overlap or join, such as rows and the kernel rows in them, become one: few sums are made twice.
    merged: list[tuple[int, int]] = []
    for stride, count in loops:
        for at, (inner, turns) in enumerate(merged):
            if stride % inner == 0 and stride // inner <= turns:
                merged[at] = (inner, (count - 1) * (stride // inner) + turns)
                break
        else:
            merged.append((stride, count))
    sums = np.zeros(1, dtype=np.int64)
    for stride, count in merged:
        sums = (sums[:, None] + np.arange(count, dtype=np.int64) * stride).reshape(-1)
    return np.unique(sums)
