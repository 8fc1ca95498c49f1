"""Networks over data sets: the predictions of both kinds of networks, journals, broken images, clusters."""

import pickle

import numpy as np
import pytest
import torch

from tests.networks import small_network
from triovit.golden.data.folders import DatasetError
from triovit.golden.data.images import ImageError
from triovit.golden.evaluation.accuracy import top_classes
from triovit.golden.evaluation.evaluate import evaluate
from triovit.golden.evaluation.journal import Journal
from triovit.golden.evaluation.predictors import FloatPredictor, IntegerPredictor
from triovit.golden.integer.execute import execute, pixels_to_input
from triovit.golden.network.efficientvit.model import EfficientViT
from triovit.golden.network.normalize import normalize
from triovit.golden.network.seeded import initialize, random_images

COUNT = 23


class Pictures:
    """Random pictures; those in `broken` cannot be read."""

    classes = tuple("abcdefg")

    def __init__(self, resolution, broken=()):
        self.pixels = random_images(COUNT, resolution, 1).numpy()
        self.labels = tuple(index % 7 for index in range(COUNT))
        self.broken = broken

    def __len__(self):
        return COUNT

    def image(self, index, resolution, crop=0.95):
        if index in self.broken:
            raise ImageError(f"picture {index}: not an image")
        assert self.pixels[index].shape == (resolution, resolution, 3)
        return self.pixels[index]


class Counting:
    """A predictor that counts the images it is given: class = image's first sample modulo 7."""

    resolution, crop, outputs = 4, 0.95, 7

    def __init__(self, stop_after=None):
        self.images, self.stop_after = 0, stop_after

    def logits(self, pixels):
        if self.stop_after is not None and self.images + len(pixels) > self.stop_after:
            raise KeyboardInterrupt
        self.images += len(pixels)
        return np.eye(7, dtype=np.int64)[pixels[:, 0, 0, 0] % 7]


@pytest.fixture
def journal(tmp_path):
    def open_journal():
        return Journal(tmp_path / "j.jsonl", {"test": 1}, COUNT, 7)

    return open_journal


def same(one, two):
    return (
        np.array_equal(one.index, two.index)
        and np.array_equal(one.label, two.label)
        and np.array_equal(one.top, two.top)
        and one.broken == two.broken
    )


@pytest.fixture(scope="module")
def integer():
    return small_network(6)


@pytest.fixture(scope="module")
def pictures():
    return Pictures(28)


@pytest.fixture(scope="module")
def reference(integer, pictures):
    logits = [execute(integer, pixels_to_input(image))[integer.output].reshape(-1) for image in pictures.pixels]
    return top_classes(np.stack(logits).astype(np.int64)).tolist()


@pytest.mark.parametrize("batch", [1, 5, 23, 100])
def test_integer_network(integer, pictures, reference, batch):
    predictions = evaluate(IntegerPredictor(integer), pictures, batch=batch)
    assert predictions.top.tolist() == reference
    assert predictions.index.tolist() == list(range(COUNT)) and predictions.label.tolist() == list(pictures.labels)


def test_over_a_cluster(integer, pictures, reference, address):
    predictor = IntegerPredictor(integer)
    evaluate(predictor, pictures)  # sets the executor up, which must not travel
    assert len(pickle.dumps(predictor)) < 2 * len(pickle.dumps(integer))
    progress = []
    predictions = evaluate(predictor, pictures, batch=3, scheduler=address, progress=lambda *n: progress.append(n))
    assert predictions.top.tolist() == reference
    assert [done for _, done, _ in progress] == [0, *sorted(done for _, done, _ in progress[1:])]
    assert progress[-1] == (predictions.accuracy().correct, COUNT, COUNT)


def test_float_network_with_its_own_normalization():
    model = initialize(EfficientViT("b0", 7, 32), 1)
    pictures = Pictures(32)
    mean, std = (0.1, 0.5, 0.9), (0.3, 0.2, 0.6)
    predictions = evaluate(FloatPredictor(model.train(), mean, std), pictures, batch=COUNT)
    pixels = torch.from_numpy(pictures.pixels)
    with torch.inference_mode():
        expected = model.eval()(normalize(pixels, mean, std)).numpy()
        other = model(normalize(pixels)).numpy()
    assert predictions.top.tolist() == top_classes(expected).tolist() != top_classes(other).tolist()


def test_progress_counts_right_images():
    progress = []
    predictions = evaluate(Counting(), Pictures(4), batch=10, progress=lambda *counts: progress.append(counts))
    right = (predictions.top[:, 0] == predictions.label).cumsum()
    assert progress == [(0, 0, 23), (right[9], 10, 23), (right[19], 20, 23), (right[22], 23, 23)]


@pytest.mark.parametrize("stop_after", [0, 4, 11, 22])
def test_an_interrupted_evaluation_continues(journal, stop_after):
    pictures, expected = Pictures(4), evaluate(Counting(), Pictures(4))
    with journal() as first, pytest.raises(KeyboardInterrupt):
        evaluate(Counting(stop_after), pictures, batch=4, journal=first)
    rest, progress = Counting(), []
    with journal() as second:
        kept = sum(len(chunk.index) for chunk in second.chunks)
        continued = evaluate(rest, pictures, batch=3, journal=second, progress=lambda *n: progress.append(n))
    assert kept == stop_after // 4 * 4 and rest.images == COUNT - kept
    assert same(continued, expected)
    assert progress[0][1] == kept and progress[-1] == (expected.accuracy().correct, COUNT, COUNT)
    nothing = Counting()
    with journal() as third:
        assert same(evaluate(nothing, pictures, journal=third), expected)
    assert nothing.images == 0


def test_a_broken_image_stops_and_what_was_done_is_kept(journal):
    pictures = Pictures(4, broken=(10, 12))
    with journal() as first, pytest.raises(ImageError, match=r"^picture 10: not an image$"):
        evaluate(Counting(), pictures, batch=4, journal=first)
    with journal() as second:
        assert sorted(index for chunk in second.chunks for index in chunk.index) == [*range(10), 11]
        with pytest.raises(ImageError, match="picture 10"):  # tried again: it may have been mended
            evaluate(Counting(), pictures, batch=4, journal=second)
    mended = Counting()
    with journal() as third:
        assert same(evaluate(mended, Pictures(4), journal=third), evaluate(Counting(), Pictures(4)))
    assert mended.images == COUNT - 13  # the second attempt has added 13 and 14, read together with 10 and 12


def test_broken_images_are_passed_over(journal):
    pictures = Pictures(4, broken=(0, 10, 22))
    with journal() as first:
        predictions = evaluate(Counting(), pictures, batch=4, journal=first, skip_broken=True)
    assert predictions.broken == tuple((index, f"picture {index}: not an image") for index in (0, 10, 22))
    assert len(predictions) == COUNT - 3 and not {0, 10, 22} & set(predictions.index.tolist())
    again = Counting()
    with journal() as second:
        assert same(evaluate(again, pictures, journal=second, skip_broken=True), predictions)
    assert again.images == 0


def test_nothing_can_be_read():
    with pytest.raises(DatasetError, match=r"^none of the 23 images can be read; the first: picture 0: not an image$"):
        evaluate(Counting(), Pictures(4, broken=range(COUNT)), skip_broken=True)


def test_batch():
    with pytest.raises(ValueError, match="batch must be at least 1, not 0"):
        evaluate(Counting(), Pictures(4), batch=0)
