"""Calibration images: their choice, order and metadata, and every wrong calibration set."""

import hashlib
import io
import json

import numpy as np
import pytest
from PIL import Image

from triovit.golden.data.folders import DatasetError
from triovit.golden.data.images import ImageError
from triovit.golden.quantization.calibration.images import (
    calibration_images,
    calibration_metadata,
    check_images,
    image_hash,
    random_images,
)
from triovit.golden.quantization.settings import QuantizationError


@pytest.fixture
def folder(tmp_path):
    """Twelve images whose grey is their number, four in each of three folders."""
    root = tmp_path / "private place" / "pictures"
    for number in range(12):
        path = root / "abc"[number // 4] / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), (number,) * 3).save(path)
    return root


def archive(tmp_path):
    """A CIFAR archive with six training images of grey 20 to 25 and two test images."""
    files = []
    for level in range(20, 28):
        stream = io.BytesIO()
        Image.new("L", (32, 32), level).save(stream, "JPEG")
        files.append(stream.getvalue())
    path = tmp_path / "cifar.npz"
    np.savez(
        path,
        jpeg=np.frombuffer(b"".join(files), np.uint8),
        offset=np.cumsum([0, *map(len, files)]),
        label=np.zeros(8, np.uint8),
        split=np.array([0] * 6 + [1] * 2, np.uint8),
        classes=np.array(["one", "two"]),
    )
    return path


def levels(images):
    return [int(image[0, 0, 0]) for image in images]


def test_evenly_spaced_images_come_mixed(folder):
    images = calibration_images(folder, 6, 32)
    found = levels(images)
    assert sorted(found) == [0, 2, 4, 6, 8, 10]
    assert found != sorted(found)
    assert levels(images) == found  # as often as wanted
    assert len(images) == 6
    assert images.classes == ("a", "b", "c")
    assert all(image.shape == (32, 32, 3) and image.dtype == np.uint8 for image in images)


def test_a_seed_draws_a_sample(folder):
    one, same, other = (levels(calibration_images(folder, 6, 32, seed)) for seed in (1, 1, 2))
    assert one == same != other
    assert len(set(one)) == 6
    assert set(one) != set(other)
    drawn = {level for seed in range(1, 30) for level in levels(calibration_images(folder, 6, 32, seed))}
    assert drawn == set(range(12))


@pytest.mark.parametrize("seed", [0, 3])
def test_all_images_where_there_are_fewer(folder, seed):
    assert sorted(levels(calibration_images(folder, 100, 32, seed))) == list(range(12))


def test_archives_give_training_images(tmp_path):
    images = calibration_images(archive(tmp_path), 4, 64)
    assert sorted(levels(images)) == [20, 21, 23, 24]
    assert images.classes == ("one", "two")
    assert images.description == "4 of 6 images of cifar.npz, evenly spaced"


def test_flat_folders_have_no_classes(folder):
    Image.new("RGB", (8, 8), (200,) * 3).save(folder / "d.png")
    images = calibration_images(folder, 100, 32)
    assert sorted(levels(images)) == [*range(12), 200]
    assert images.classes == ()


def test_random_images_without_data():
    images = calibration_images(None, 3, 40, seed=5)
    assert images.description == "3 random images, seed 5"
    expected = {image.tobytes() for image in random_images(5, 3, 40)}
    assert {image.tobytes() for image in images} == expected and len(expected) == 3


def test_metadata_reproduces_the_pixels_and_tells_no_path(folder, tmp_path, monkeypatch):
    images = calibration_images(folder, 5, 32, seed=9)
    pixels = check_images(images, 32)
    entries = calibration_metadata(images, pixels)
    assert entries == {
        "calibration_images": 5,
        "calibration_sha256": image_hash(pixels),
        "calibration_source": "folder pictures",
        "calibration_available": 12,
        "calibration_seed": 9,
    }
    assert "private place" not in json.dumps(entries) + images.description
    again = calibration_images(folder, entries["calibration_images"], 32, entries["calibration_seed"])
    assert image_hash(check_images(again, 32)) == entries["calibration_sha256"]
    monkeypatch.chdir(folder)
    assert calibration_metadata(calibration_images(".", 5, 32, seed=9), pixels) == entries
    assert calibration_metadata(list(pixels), pixels) == {k: entries[k] for k in list(entries)[:2]}
    assert calibration_metadata(calibration_images(None, 2, 32), pixels)["calibration_source"] == "random"
    assert calibration_metadata(calibration_images(archive(tmp_path), 2, 32), pixels)["calibration_source"] == (
        "archive cifar.npz"
    )


def test_descriptions(folder):
    assert calibration_images(folder, 5, 32).description == "5 of 12 images of pictures, evenly spaced"
    assert calibration_images(folder, 5, 32, 7).description == "5 of 12 images of pictures, drawn with seed 7"
    assert calibration_images(folder, 50, 32, 7).description == "12 of 12 images of pictures, all of them"


def test_unusable_sources(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="empty: no images in it"):
        calibration_images(tmp_path / "empty", 5, 32)
    with pytest.raises(QuantizationError, match="number of calibration images must be at least 1, not 0"):
        calibration_images(folder, 0, 32)
    (folder / "a" / "00.png").write_bytes(b"")
    images = calibration_images(folder, 12, 32)
    with pytest.raises(ImageError, match=r"00\.png: "):
        list(images)


def test_reading_shows_progress(folder):
    calls = []
    check_images(calibration_images(folder, 3, 32), 32, lambda *call: calls.append(call))
    assert calls == [("reading images", done, 3) for done in (1, 2, 3)]
    calls.clear()
    check_images((image for image in random_images(0, 2, 32)), 32, lambda *call: calls.append(call))
    assert calls == [("reading images", 1, 1), ("reading images", 2, 2)]  # a generator has no length


def test_random_images_are_seeded():
    one, same, other = random_images(1, 3, 40), random_images(1, 3, 40), random_images(2, 3, 40)
    assert len(one) == 3
    assert one[0].shape == (40, 40, 3)
    assert one[0].dtype == np.uint8
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one[0], other[0])
    neighbours = np.abs(np.diff(one[0].astype(int), axis=0)).mean()
    assert neighbours < np.abs(one[0].astype(int) - np.roll(one[0].astype(int), 17, axis=0)).mean()


def test_hash_is_of_the_pixels_in_order():
    images = check_images(random_images(1, 2, 32), 32)
    assert image_hash(images) == hashlib.sha256(images[0].tobytes() + images[1].tobytes()).hexdigest()
    assert image_hash(images) != image_hash(images[::-1])


def image(*shape, dtype=np.uint8):
    return np.zeros(shape, dtype=dtype)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([], "the calibration set is empty: at least one image is needed"),
        (
            [image(32, 32, 3), image(32, 31, 3)],
            r"calibration image 1 must be uint8 \(32, 32, 3\), not uint8 \(32, 31, 3\)",
        ),
        ([image(3, 32, 32)], r"calibration image 0 must be uint8 \(32, 32, 3\), not uint8 \(3, 32, 32\)"),
        ([image(32, 32, 3, dtype=np.float32)], r"not float32 \(32, 32, 3\)"),
        ([image(64, 64, 3)], r"not uint8 \(64, 64, 3\)"),
    ],
)
def test_wrong_images(images, message):
    with pytest.raises(QuantizationError, match=message):
        check_images(iter(images), 32)
