"""The sample that ships."""

import numpy as np

from triovit.golden.assets import SAMPLE
from triovit.golden.data.archives import CifarArchive
from triovit.golden.data.drawn import DRAWN, TEST, TRAINING, draw_sample
from triovit.golden.data.sources import data_path, open_labelled
from triovit.golden.network.bundled import load_bundled


def test_the_file_is_what_is_drawn():
    pixels, labels, split = draw_sample()
    for number, name in enumerate(("train", "test")):
        dataset = CifarArchive(SAMPLE, name)
        expected = pixels[split == number]
        assert dataset.labels == tuple(labels[split == number].tolist())
        assert all(np.array_equal(dataset.image(index, 32), image) for index, image in enumerate(expected))
    assert SAMPLE.stat().st_size < 300_000


def test_classes():
    """As many pictures of each of the bundled network's classes, no two alike; another seed draws others."""
    assert tuple(DRAWN) == load_bundled().classes == CifarArchive(SAMPLE).classes
    pixels, labels, split = draw_sample()
    for number, count in enumerate((TRAINING, TEST)):
        assert np.bincount(labels[split == number]).tolist() == [count] * 10
    assert len({image.tobytes() for image in pixels}) == len(pixels) == 110
    other, same_labels, _ = draw_sample(seed=2)
    assert np.array_equal(labels, same_labels) and not (other == pixels).all(axis=(1, 2, 3)).any()


def test_its_name(tmp_path, monkeypatch):
    assert data_path("sample") == SAMPLE and len(open_labelled("sample")) == 50
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sample").mkdir()
    assert str(data_path("sample")) == "sample"
    assert str(data_path("./sample")) == "sample"
