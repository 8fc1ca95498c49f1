"""CIFAR's archive and archives of image files, made on the spot."""

import pickle
import tarfile
import zipfile

import numpy as np
import pytest

from tests.golden.data.image_sets import LABELS, SPLIT, folder, jpeg, shades, write_archive
from triovit.golden.data.archives import CifarArchive, ImageArchive
from triovit.golden.data.folders import DatasetError, ImageFolder
from triovit.golden.data.images import ImageError


@pytest.mark.parametrize(("split", "positions"), [("test", (1, 2, 4)), ("train", (0, 3))])
def test_archive(tmp_path, split, positions):
    dataset = CifarArchive(write_archive(tmp_path / "a.npz"), split)
    assert len(dataset) == len(positions)
    assert dataset.classes == ("ant", "bee", "cow")
    assert dataset.labels == tuple(LABELS[position] for position in positions)
    for index, position in enumerate(positions):
        image = dataset.image(index, 64)
        assert image.shape == (64, 64, 3)
        assert abs(float(image.mean()) - 40 * position) < 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"label": None, "split": None}, "arrays missing: label, split"),
        ({"label": np.array([0, 1, 2, 3, 0])}, "label must index classes"),
        ({"label": np.array([0, 1, 2, 0])}, "must agree in length"),
        ({"offset": np.array([0, 9, 5, 20, 30, 40])}, "offset must rise"),
        ({"jpeg": np.zeros(50, np.uint8), "offset": np.array([0, 10, 10, 30, 40, 50])}, "offset must rise"),
        (dict.fromkeys(("label", "split"), np.zeros(0, int)) | {"offset": np.zeros(1, int)}, "label must index"),
        ({"split": np.zeros(5, np.uint8)}, "no test images in it"),
        ({"jpeg": np.zeros((3, 3), np.uint8)}, "jpeg must be a vector of bytes, not uint8 of shape (3, 3)"),
        ({"jpeg": np.zeros(3, np.uint16)}, "jpeg must be a vector of bytes, not uint16 of shape (3,)"),
        ({"offset": np.array(5)}, "offset must be a vector of integers, not int64 of shape ()"),
        ({"offset": np.full(6, np.nan)}, "offset must be a vector of integers, not float64 of shape (6,)"),
        ({"label": np.array(LABELS) + 0.5}, "label must be a vector of integers, not float64 of shape (5,)"),
        ({"label": np.array([LABELS])}, "label must be a vector of integers, not int64 of shape (1, 5)"),
        ({"label": np.array(list("abcde"))}, "label must be a vector of integers, not <U1 of shape (5,)"),
        ({"label": np.array([0, 1, 2, -1, 0])}, "label must index classes"),
        ({"split": np.array([SPLIT, SPLIT])}, "split must be a vector of integers"),
        ({"classes": np.array("ant")}, "classes must be a vector of texts, not <U3 of shape ()"),
        ({"classes": np.arange(3)}, "classes must be a vector of texts"),
        ({"classes": np.array(["ant", "bee", "ant"])}, "classes must differ"),
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


def packed(path, root, prefix="", compression=zipfile.ZIP_DEFLATED):
    """All files below a folder in an archive, in an order that is not sorted."""
    files = sorted((file for file in root.rglob("*") if file.is_file()), reverse=True)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", compression) as archive:
            archive.mkdir("empty.png")
            for file in files:
                archive.write(file, f"{prefix}{file.relative_to(root)}")
    else:
        with tarfile.open(path, "w") as archive:
            archive.add(root, prefix or ".")
    return path


@pytest.fixture(params=["a.zip", "a.tar"])
def target(request, tmp_path):
    return tmp_path / request.param


@pytest.mark.parametrize("prefix", ["", "val/", "./val/"])
def test_an_archive_is_the_folder(cluttered, target, prefix):
    (cluttered / "__MACOSX").mkdir()
    (cluttered / "__MACOSX" / "x.png").write_bytes(b"no image")
    (cluttered / "ant" / "nowhere.png").unlink()
    opened, unpacked = ImageArchive(packed(target, cluttered, prefix)), ImageFolder(cluttered)
    assert opened.classes == ("ant", "bee") and opened.labels == unpacked.labels and len(opened) == 3
    for index in range(3):
        assert (opened.image(index, 64) == unpacked.image(index, 64)).all()


def test_archives_without_classes(target, tmp_path):
    root = folder(tmp_path / "set", "b.png", "a.png", "c/d.png")
    opened = ImageArchive(packed(target, root))
    assert (opened.classes, opened.labels, shades(opened)) == ((), (), [1, 0, 2])
    one = ImageArchive(packed(target, folder(tmp_path / "one", "ant/a.png", "ant/b.png")))
    assert (one.classes, len(one)) == ((), 2)  # a folder of everything is no class


def test_archives_are_read_in_other_processes_and_in_any_order(target, tmp_path):
    root = folder(tmp_path / "set", *(f"{name}/{number}.png" for name in "abc" for number in range(4)))
    opened = ImageArchive(packed(target, root))
    assert shades(opened) == list(range(12))
    again = pickle.loads(pickle.dumps(opened))
    assert [int(again.image(index, 32).mean()) for index in (7, 0, 11)] == [7, 0, 11]


def test_bad_archives(target, tmp_path, monkeypatch):
    with pytest.raises(DatasetError, match="no such archive"):
        ImageArchive(target)
    packed(target, folder(tmp_path / "set", "a/0.png", "b/1.png"))
    whole = target.read_bytes()
    for damaged in (b"", b"text", whole[:300]):
        target.write_bytes(damaged)
        with pytest.raises(DatasetError, match=r"(not a whole \.zip or \.tar archive|no images in it)") as caught:
            ImageArchive(target)
        assert "\n" not in str(caught.value)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("no image")
    with pytest.raises(DatasetError, match="no images in it"):
        ImageArchive(packed(target, tmp_path / "notes"))
    (tmp_path / "set" / "a" / "0.png").write_bytes(b"no image")
    opened = ImageArchive(packed(target, tmp_path / "set"))
    with pytest.raises(ImageError, match=r"a/0\.png: "):
        opened.image(0, 32)
    monkeypatch.setattr("triovit.golden.data.archives.LARGEST_FILE", 50)
    with pytest.raises(ImageError, match=r"b/1\.png: cannot be read \(\d+ bytes, more than 50\)"):
        opened.image(1, 32)


def test_a_damaged_member_is_named(tmp_path):
    path = packed(tmp_path / "a.zip", folder(tmp_path / "set", "a/0.png", "b/1.png"), compression=zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 5] ^= 255  # of the member that comes first
    path.write_bytes(data)
    opened = ImageArchive(path)
    assert int(opened.image(0, 32).mean()) == 0
    with pytest.raises(ImageError, match=r"a\.zip, b/1\.png: cannot be read \(Bad CRC-32"):
        opened.image(1, 32)


def test_compressed_tars_have_no_index(tmp_path):
    root = folder(tmp_path / "set", "a/0.png", "b/1.png")
    with tarfile.open(tmp_path / "a.tar", "w:gz") as archive:
        archive.add(root, "set")
    with pytest.raises(DatasetError, match=r"not a whole \.zip or \.tar archive"):
        ImageArchive(tmp_path / "a.tar")
