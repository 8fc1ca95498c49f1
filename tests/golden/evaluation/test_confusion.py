"""The confusion matrix by hand, and pictures that show what is in it."""

import io

import numpy as np
import pytest
from PIL import Image

from triovit.golden.evaluation.accuracy import Chunk, Predictions
from triovit.golden.evaluation.confusion import confusion_matrix, confusions, draw_confusion


def predictions_of(label, predicted):
    return Predictions.collect([Chunk(list(range(len(label))), label, [[p] for p in predicted], [])])


def test_matrix():
    got = confusion_matrix(predictions_of([0, 0, 0, 2, 2, 3], [0, 1, 1, 0, 2, 0]), 4)
    assert got.tolist() == [[1, 2, 0, 0], [0, 0, 0, 0], [1, 0, 1, 0], [1, 0, 0, 0]]


def test_most_frequent_come_first():
    matrix = np.array([[9, 1, 3], [4, 8, 0], [3, 1, 7]])
    pairs = np.repeat(np.argwhere(matrix >= 0), matrix.reshape(-1), axis=0)[::-1]
    found = confusions(predictions_of(pairs[:, 0].tolist(), pairs[:, 1].tolist()))
    assert found == [(1, 0, 4), (0, 2, 3), (2, 0, 3), (0, 1, 1), (2, 1, 1)]
    assert all(type(value) is int for row in found for value in row)  # for JSON
    assert confusions(predictions_of([0, 1, 1], [0, 1, 1])) == []


def test_confusions_of_many_classes_need_no_matrix():
    """Which would take 8 TB here."""
    assert confusions(predictions_of([999_999, 5], [7, 5])) == [(999_999, 7, 1)]


def texts(figure):
    figure.draw_without_rendering()
    axes = figure.axes[0]
    return [label.get_text() for label in axes.get_yticklabels()], [text.get_text() for text in axes.texts]


def test_few_classes_have_names_and_numbers():
    matrix = np.array([[5, 1, 0], [0, 0, 0], [0, 2, 6]])
    figure = draw_confusion(matrix, [r"a$\frac$", "no image", "x" * 40], r"$\title$")
    names, numbers = texts(figure)  # drawn: no name is a formula
    assert names == [r"a$\frac$", "no image", "x" * 23 + "…"]
    assert numbers == ["5", "1", "2", "6"]
    assert figure.axes[0].get_title() == r"$\title$"
    shown = figure.axes[0].images[0].get_array()
    assert np.ma.getmaskarray(shown)[1].all() or np.isnan(np.asarray(shown)[1]).all()
    assert np.asarray(shown)[2] == pytest.approx([0, 5, np.sqrt(75)])


def test_a_hundred_classes_have_names_only():
    names, numbers = texts(draw_confusion(np.eye(101, dtype=int), [f"class {c}" for c in range(101)], ""))
    assert names == [f"class {c}" for c in range(101)] and numbers == []


def picture(figure) -> np.ndarray:
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return np.asarray(Image.open(stream).convert("RGB")).astype(int)


def test_of_a_thousand_classes_a_single_mistake_can_be_seen():
    """One image in a thousand of its class, in a picture with about a pixel a cell."""
    matrix = np.diag(np.full(1000, 999))
    names = [f"n{c:08d}" for c in range(1000)]
    assert not set(texts(draw_confusion(matrix, names, ""))[0]) & set(names)
    before = picture(draw_confusion(matrix, names, ""))
    matrix[200, 700] = 1
    after = picture(draw_confusion(matrix, names, ""))
    assert before.shape == after.shape
    changed = np.argwhere((before - after).sum(axis=2) > 40)
    assert len(changed) >= 4
    assert np.ptp(changed, axis=0).max() <= 6  # one dot, above the middle and to the right
    row, column = changed.mean(axis=0)
    assert row < after.shape[0] / 3 and column > after.shape[1] / 2


def test_rare_mistakes_of_large_classes_are_not_white():
    matrix = np.array([[99_999, 1], [0, 1]])
    shown = np.asarray(draw_confusion(matrix, "ab", "").axes[0].images[0].get_array())
    norm = draw_confusion(matrix, "ab", "").axes[0].images[0].norm
    assert norm(shown[0, 1]) >= 0 > norm(shown[1, 0])
