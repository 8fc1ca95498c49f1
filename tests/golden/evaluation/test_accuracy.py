"""Top-k by hand: ties, chunks in any order, shares and their standard errors."""

import numpy as np
import pytest

from triovit.golden.evaluation.accuracy import Chunk, Predictions, Share, top_classes

CHUNKS = [
    Chunk([2, 3], [1, 1], [[1, 0, 2], [0, 2, 1]], []),
    Chunk([0, 1], [0, 0], [[0, 1, 2], [2, 0, 1]], [(5, "five is broken")]),
    Chunk([4], [2], [[0, 1, 2]], [(6, "six is broken")]),
]


@pytest.fixture
def predictions():
    return Predictions.collect(CHUNKS)


def test_top_classes_in_order():
    logits = np.array([[3, 9, -4, 5, 0, 7, 1], [-1, -2, -3, -4, -5, -6, -7]])
    assert top_classes(logits).tolist() == [[1, 5, 3, 0, 6], [0, 1, 2, 3, 4]]
    assert top_classes(logits, 2).tolist() == [[1, 5], [0, 1]]
    assert top_classes(logits[:, :3]).tolist() == [[1, 0, 2], [0, 1, 2]]


@pytest.mark.parametrize("dtype", [np.int64, np.float32])
def test_of_equal_logits_the_lower_index_comes_first(dtype):
    """With enough classes for sorts that are only stable by chance on short rows."""
    logits = np.random.default_rng(3).integers(0, 4, (50, 1000)).astype(dtype)
    expected = [sorted(range(1000), key=lambda c, row=row: (-row[c], c))[:5] for row in logits.tolist()]
    assert top_classes(logits).tolist() == expected
    assert top_classes(np.zeros((1, 1000), dtype)).tolist() == [[0, 1, 2, 3, 4]]


def test_large_integers_are_not_rounded():
    assert top_classes(np.array([[1 << 40, (1 << 40) + 1, 0]])).tolist() == [[1, 0, 2]]


def test_chunks_are_put_in_order(predictions):
    assert predictions.index.tolist() == [0, 1, 2, 3, 4]
    assert predictions.label.tolist() == [0, 0, 1, 1, 2]
    assert predictions.top[:, 0].tolist() == [0, 2, 1, 0, 0]
    assert predictions.broken == ((5, "five is broken"), (6, "six is broken"))
    assert len(predictions) == 5


def test_accuracy(predictions):
    assert [predictions.accuracy(k).correct for k in (1, 2, 3, 5)] == [2, 3, 5, 5]
    assert predictions.accuracy() == Share(2, 5)
    assert predictions.by_class() == {0: Share(1, 2), 1: Share(1, 2), 2: Share(0, 1)}
    assert predictions.by_class(2) == {0: Share(2, 2), 1: Share(1, 2), 2: Share(0, 1)}
    assert [chunk.correct for chunk in CHUNKS] == [1, 1, 0]


def test_classes_without_images_are_left_out():
    assert Predictions.collect([Chunk([0], [7], [[7]], [])]).by_class() == {7: Share(1, 1)}


@pytest.mark.parametrize("k", [0, 6, -1])
def test_k(predictions, k):
    with pytest.raises(ValueError, match=rf"k must lie in 1\.\.5, not {k}"):
        predictions.accuracy(k)


def test_share():
    assert Share(80, 100).percent == 80
    assert Share(80, 100).standard_error == pytest.approx(4)  # 100 sqrt(0.8 * 0.2 / 100)
    assert Share(3, 3).standard_error == Share(0, 3).standard_error == 0


def test_the_last_prediction_of_an_image_counts():
    again = Predictions.collect([*CHUNKS, Chunk([3, 5], [1, 2], [[1, 0, 2], [2, 0, 1]], [])])
    assert again.accuracy() == Share(4, 6)
    assert again.broken == ((6, "six is broken"),)  # five has been read since


def test_nothing_read():
    with pytest.raises(ValueError, match="no image could be read"):
        Predictions.collect([Chunk([], [], [], [(0, "broken")])])
