"""Predictions of a data set's images, and the accuracy they amount to."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

TOP = 5  # classes kept of every image


@dataclass(frozen=True)
class Chunk:
    """Predictions of a few images, as plain values that go into a journal.

    index: places in the data set. label: class indices. top: the TOP classes (fewer of a network with fewer outputs)
    of an image, likeliest first. The three have an entry per image. broken: (index, message) of images that cannot
    be read; they are not in `index`.
    """

    index: list[int]
    label: list[int]
    top: list[list[int]]
    broken: list[tuple[int, str]]

    @property
    def correct(self) -> int:
        return sum(row[0] == label for row, label in zip(self.top, self.label, strict=True))


@dataclass(frozen=True)
class Predictions:
    """Predictions of a data set in its order.

    index, label: (N,) int64. top: (N, TOP or fewer) int64, likeliest class first. broken: (index, message) of images
    that cannot be read.
    """

    index: np.ndarray
    label: np.ndarray
    top: np.ndarray
    broken: tuple[tuple[int, str], ...] = ()

    @staticmethod
    def collect(chunks: Iterable[Chunk]) -> Predictions:
        """All predictions of `chunks`, which may come in any order; the last one of an image counts.

        An image that some chunk could not read and another could counts as read. Raises ValueError when no image was
        read.
        """
        rows, broken = {}, {}
        for chunk in chunks:
            rows |= {k: (label, top) for k, label, top in zip(chunk.index, chunk.label, chunk.top, strict=True)}
            broken |= dict(chunk.broken)
        if not rows:
            raise ValueError("no image could be read")
        order = sorted(rows)
        return Predictions(
            np.array(order),
            np.array([rows[index][0] for index in order]),
            np.array([rows[index][1] for index in order]),
            tuple((index, broken[index]) for index in sorted(broken.keys() - rows.keys())),
        )

    def __len__(self):
        return len(self.index)

    def accuracy(self, k: int = 1) -> Share:
        """Share of the images whose label is among their first k classes, 1 <= k <= TOP."""
        return Share(int(self._hits(k).sum()), len(self))

    def by_class(self, k: int = 1) -> dict[int, Share]:
        """`accuracy` of every class that has images, by class index."""
        images = np.bincount(self.label)
        correct = np.bincount(self.label, weights=self._hits(k))
        return {c: Share(int(correct[c]), int(images[c])) for c in range(len(images)) if images[c]}

    def _hits(self, k):
        if not 1 <= k <= TOP:
            raise ValueError(f"k must lie in 1..{TOP}, not {k}")
        return (self.top[:, :k] == self.label[:, None]).any(axis=1)


@dataclass(frozen=True)
class Share:
    """`correct` of `images` images, at least one."""

    correct: int
    images: int

    @property
    def percent(self) -> float:
        return 100 * self.correct / self.images

    @property
    def standard_error(self) -> float:
        """In points: the binomial sqrt(p (1 - p) / n), of images drawn at random."""
        p = self.correct / self.images
        return 100 * math.sqrt(p * (1 - p) / self.images)


def top_classes(logits: np.ndarray, k: int = TOP) -> np.ndarray:
    """(N, min(k, classes)) int64 indices of the largest logits of (N, classes); of equal ones the lower index first."""
    return np.argsort(-logits, axis=1, kind="stable")[:, :k]
