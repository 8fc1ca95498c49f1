"""The CIFAR archive and image folders, made on the spot."""

import io

import numpy as np
import pytest
from PIL import Image

from golden.network.datasets import (
    CifarArchive,
    DatasetError,
    ImageFiles,
    ImageFolder,
    Sample,
    Subset,
    open_images,
)
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


def shades(dataset):
    return [int(dataset.image(index, 32).float().mean().round()) for index in range(len(dataset))]


@pytest.fixture
def cluttered(tmp_path):
    """Images 0, 1 and 2 among what is none: notes, folders named like images, and what systems leave behind."""
    root = folder(tmp_path / "set", "ant/a.png", "ant/deep/er/b.JPG", "bee/c.png")
    (root / "ant" / "folder.png").mkdir()
    (root / "ant" / "notes.txt").write_text("no image")
    (root / "ant" / "nowhere.png").symlink_to(root / "absent.png")
    for name in ("ant/._a.png", "ant/.thumbnails/a.png", ".trash/d.png"):
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"no image")
    return root


def test_clutter_is_passed_over(cluttered):
    assert shades(ImageFolder(cluttered)) == shades(ImageFiles(cluttered)) == [0, 1, 2]
    assert ImageFolder(cluttered).classes == ("ant", "bee")
    assert ImageFiles(cluttered).classes == ImageFiles(cluttered).labels == ()


def test_hidden_folders_can_be_named_themselves(tmp_path):
    root = folder(tmp_path / ".cache" / "set", "a.png")
    assert len(ImageFiles(root)) == len(open_images(root)) == 1


def test_folders_are_opened_as_what_they_are(cluttered, tmp_path):
    opened = open_images(str(cluttered))
    assert isinstance(opened, ImageFolder) and opened.classes == ("ant", "bee")
    folder(cluttered, "top.png")  # an image beside the folders: they are no classes
    opened = open_images(cluttered)
    assert isinstance(opened, ImageFiles) and len(opened) == 4
    flat = open_images(folder(tmp_path / "flat", "b.png", "a.png"))
    assert isinstance(flat, ImageFiles) and shades(flat) == [1, 0]


@pytest.mark.parametrize(("split", "count"), [("train", 2), ("test", 3)])
def test_archives_are_opened_by_their_suffix(tmp_path, split, count):
    opened = open_images(write_archive(tmp_path / "a.npz"), split)
    assert isinstance(opened, CifarArchive) and len(opened) == count


def test_what_cannot_be_opened(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "nothing" / "cat").mkdir(parents=True)
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "a.pdf").write_text("no image")
    (tmp_path / "a.zip").write_bytes(b"PK")
    for name, said in (
        ("empty", "no images in it, files that end in jpg, jpeg, png"),
        ("documents", "no images in it, files that end in jpg, jpeg, png"),
        ("nothing", "no images in its class folders"),
        ("absent", "no such folder"),
        ("absent.npz", "no such archive"),
        ("a.zip", r"must be a folder of images or an \.npz archive"),
    ):
        with pytest.raises(DatasetError, match=f"{name}: {said}"):
            open_images(tmp_path / name)
    with pytest.raises(DatasetError, match="absent: no such folder"):
        ImageFiles(tmp_path / "absent")


def test_selections(tmp_path):
    whole = ImageFolder(folder(tmp_path, *(f"{name}/{number}.png" for name in "abc" for number in range(4))))
    spaced = Subset(whole, 6)
    assert shades(spaced) == [0, 2, 4, 6, 8, 10]
    assert spaced.labels == (0, 0, 1, 1, 2, 2) and spaced.classes == whole.classes and len(spaced) == 6
    drawn, same, other = (Sample(whole, 6, seed) for seed in (1, 1, 2))
    assert shades(drawn) == shades(same) != shades(other)
    assert len(set(shades(drawn))) == 6 and shades(drawn) != sorted(shades(drawn))
    assert drawn.labels == tuple(shade // 4 for shade in shades(drawn))
    assert sorted(shades(Sample(whole, 12, 5))) == list(range(12))
    assert Subset(ImageFiles(tmp_path), 3).labels == Sample(ImageFiles(tmp_path), 3, 1).labels == ()
    for count in (0, 13):
        for make in (Subset, lambda images, n: Sample(images, n, 1)):
            with pytest.raises(ValueError, match=rf"count must lie in 1\.\.12, not {count}"):
                make(whole, count)


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
