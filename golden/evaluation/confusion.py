"""Which classes are taken for which: the confusion matrix, its largest entries, and its picture."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure

from triovit.golden.evaluation.accuracy import Predictions

MOST_WITH_COUNTS = 20  # classes up to which a cell has room for its number
MOST_WITH_NAMES = 120  # and up to which an axis has room for the names
TICKS = (0.1, 1, 5, 10, 25, 50, 100)  # of the colours, in per cent
SMALLEST = 0.1  # share in per cent of the palest colour
DARK = 20  # share in per cent above which numbers are white
DOT = 4  # area in square points
LONGEST_NAME = 24


def confusion_matrix(predictions: Predictions, classes: int) -> np.ndarray:
    """(classes, classes) int64: images of the row's class taken for the column's. 8 bytes per pair of classes:
    3.8 GB for ImageNet-21k's 21 841."""
    pairs = predictions.label * classes + predictions.top[:, 0]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def confusions(predictions: Predictions) -> list[tuple[int, int, int]]:
    """(class, taken for, images) of all wrong pairs that occur: most frequent first, then lower classes first."""
    pairs = np.stack([predictions.label, predictions.top[:, 0]])
    (rows, columns), images = np.unique(pairs[:, pairs[0] != pairs[1]], axis=1, return_counts=True)
    order = np.argsort(-images, kind="stable")
    return [(int(rows[k]), int(columns[k]), int(images[k])) for k in order]


def draw_confusion(matrix: np.ndarray, names: Sequence[str], title: str) -> Figure:
    """Picture of a confusion matrix: a row a true class, each row as shares of its images.

    Colours follow the square root of the share, so that rare confusions can be told from none. Rows of classes without
    images are grey. Names are written where there is room for them, up to 120 classes; numbers of images up to 20.
    With more than 120 classes a cell would be about a pixel: every pair that occurs is a dot larger than its cell.
    """
    classes = len(matrix)
    images = matrix.sum(axis=1, keepdims=True)
    share = np.full(matrix.shape, np.nan)
    np.divide(100.0 * matrix, images, out=share, where=images > 0)
    share[matrix > 0] = np.maximum(share[matrix > 0], SMALLEST)  # never white
    side = 7.0 if classes <= MOST_WITH_COUNTS else 14.0
    figure = Figure(figsize=(side + 1.2, side), dpi=150, layout="constrained")
    axes = figure.add_subplot(xlabel="predicted class", ylabel="true class")
    axes.set_title(title, parse_math=False)  # names of files and classes are no formulas
    colours = {"cmap": _colours(), "vmin": math.sqrt(SMALLEST), "vmax": 10}
    picture = axes.imshow(np.sqrt(share), interpolation="nearest", **colours)
    if classes > MOST_WITH_NAMES:
        rows, columns = np.nonzero(matrix)
        order = np.argsort(share[rows, columns], kind="stable")  # the frequent ones on top
        rows, columns = rows[order], columns[order]
        axes.scatter(columns, rows, c=np.sqrt(share[rows, columns]), s=DOT, linewidths=0, **colours)
    else:
        size = 9 if classes <= MOST_WITH_COUNTS else max(4.0, min(8.0, 640 / classes))
        labels = [name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…" for name in names]
        axes.set_xticks(range(classes), labels, rotation=90, fontsize=size, parse_math=False)
        axes.set_yticks(range(classes), labels, fontsize=size, parse_math=False)
    if classes <= MOST_WITH_COUNTS:
        for row, column in zip(*np.nonzero(matrix), strict=True):
            colour = "white" if share[row, column] > DARK else "black"
            axes.text(column, row, f"{matrix[row, column]}", ha="center", va="center", color=colour, fontsize=8)
    bar = figure.colorbar(picture, ax=axes, ticks=np.sqrt(TICKS), shrink=0.8, pad=0.02)
    bar.ax.set_yticklabels([f"{tick} %" for tick in TICKS])
    bar.set_label("share of the class's images (white: none)")
    return figure


def _colours() -> Colormap:
    """Blues whose palest can be seen as a dot; white for nothing, grey for classes without images."""
    colours = ListedColormap(colormaps["Blues"](np.linspace(0.25, 1, 256)))
    return colours.with_extremes(under="white", bad="0.85")
