"""The CIFAR archive and image folders, made on the spot."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from golden.network.datasets import CifarArchive, DatasetError, ImageFolder, batches
from golden.network.preprocess import ImageError

LABELS = (2, 0, 1, 1, 2)
SPLIT = (0, 1, 1, 0, 1)


def jpeg(level):
    stream = io.BytesIO()
    Image.new("RGB", (32, 32), (level, level, level)).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def write_archive(path, **changes):
    files = [jpeg(40 * index) for index in range(5)]
    arrays = {
        "jpeg": np.frombuffer(b"".join(files), np.uint8),
        "offset": np.cumsum([0, *map(len, files)]),
        "label": np.array(LABELS, np.uint8),
        "split": np.array(SPLIT, np.uint8),
        "classes": np.array(["ant", "bee", "cow"]),
        **changes,
    }
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


@pytest.mark.parametrize(("split", "positions"), [("test", (1, 2, 4)), ("train", (0, 3))])
def test_archive(tmp_path, split, positions):
    dataset = CifarArchive(write_archive(tmp_path / "a.npz"), split)
    assert len(dataset) == len(positions)
    assert dataset.classes == ("ant", "bee", "cow")
    assert dataset.labels == tuple(LABELS[position] for position in positions)
    for index, position in enumerate(positions):
        image = dataset.image(index, 64)
        assert image.shape == (64, 64, 3)
        assert abs(float(image.float().mean()) - 40 * position) < 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"label": None, "split": None}, "arrays missing: label, split"),
        ({"label": np.array([0, 1, 2, 3, 0])}, "label must index classes"),
        ({"label": np.array([0, 1, 2, 0])}, "must agree in length"),
        ({"offset": np.array([0, 9, 5, 20, 30, 40])}, "offset must rise"),
        ({"split": np.zeros(5, np.uint8)}, "no test images in it"),
        ({"jpeg": np.zeros((3, 3), np.uint8)}, "jpeg must be a uint8 vector"),
        ({"classes": np.array([{"a": 1}], dtype=object)}, "not a whole .npz archive"),
    ],
)
def test_bad_archive(tmp_path, changes, words):
    path = write_archive(tmp_path / "a.npz", **changes)
    with pytest.raises(DatasetError) as caught:
        CifarArchive(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_absent_truncated_and_other_files(tmp_path):
    with pytest.raises(DatasetError, match="no such archive"):
        CifarArchive(tmp_path / "absent.npz")
    path = write_archive(tmp_path / "a.npz")
    for content in (path.read_bytes()[:2000], b"", b"text"):
        path.write_bytes(content)
        with pytest.raises(DatasetError, match=r"not a whole \.npz archive"):
            CifarArchive(path)
    with pytest.raises(ValueError, match="split must be one of train, test"):
        CifarArchive(path, "validation")


def test_damaged_image_in_an_archive(tmp_path):
    data = np.frombuffer(jpeg(1), np.uint8).copy()
    data[:20] = 0
    single = {"offset": np.array([0, len(data)]), "label": np.array([0]), "split": np.array([1])}
    dataset = CifarArchive(write_archive(tmp_path / "a.npz", jpeg=data, **single))
    with pytest.raises(ImageError, match=r"a\.npz, image 0: "):
        dataset.image(0, 64)


def folder(tmp_path, *names):
    for level, name in enumerate(names):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), (level, level, level)).save(path)
    return tmp_path


def test_image_folder(tmp_path):
    root = folder(tmp_path, "cow/2.png", "ant/b/1.PNG", "ant/0.jpg", ".hidden/3.png", "4.png")
    (root / "ant" / "notes.txt").write_text("no image")
    dataset = ImageFolder(root)
    assert dataset.classes == ("ant", "cow")
    assert dataset.labels == (0, 0, 1)
    levels = [int(dataset.image(index, 32).float().mean().round()) for index in range(len(dataset))]
    assert levels == [2, 1, 0]
    assert ImageFolder(root, classes=["bee", "cow", "ant"]).labels == (2, 2, 1)


def test_bad_image_folders(tmp_path):
    with pytest.raises(DatasetError, match="no such folder"):
        ImageFolder(tmp_path / "absent")
    with pytest.raises(DatasetError, match="no class folders"):
        ImageFolder(tmp_path)
    (tmp_path / "ant").mkdir()
    with pytest.raises(DatasetError, match="no images in its class folders"):
        ImageFolder(tmp_path)
    folder(tmp_path, "ant/0.png", "elk/1.png")
    with pytest.raises(DatasetError, match="folders that name no class of the network: elk"):
        ImageFolder(tmp_path, classes=["ant", "bee"])


def test_batches(tmp_path):
    dataset = CifarArchive(write_archive(tmp_path / "a.npz"), "test")
    shapes = [(tuple(images.shape), labels.tolist()) for images, labels in batches(dataset, 32, 2)]
    assert shapes == [((2, 32, 32, 3), [0, 1]), ((1, 32, 32, 3), [2])]
    images, labels = next(batches(dataset, 32, 5))
    assert images.dtype == torch.uint8
    assert labels.dtype == torch.int64
    with pytest.raises(ValueError, match="must be at least 1, not 0"):
        next(batches(dataset, 32, 0))
