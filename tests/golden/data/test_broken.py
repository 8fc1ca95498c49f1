"""Data sets without the images that cannot be read."""

import pytest

from tests.golden.data.image_sets import folder, shades
from triovit.golden.data.broken import readable
from triovit.golden.data.folders import DatasetError, ImageFolder, Subset


@pytest.fixture
def images(tmp_path):
    root = folder(tmp_path / "set", "a/0.png", "a/1.png", "b/2.png", "b/3.png", "b/4.png", "b/5.png")
    (root / "a" / "1.png").write_bytes(b"no image")
    (root / "b" / "4.png").write_bytes((root / "b" / "4.png").read_bytes()[:40])
    return ImageFolder(root)


def test_what_is_left(images):
    seen = []
    good, broken = readable(images, 32, lambda done, total: seen.append((done, total)))
    assert shades(good) == [0, 2, 3, 5] and good.labels == (0, 1, 1, 1) and good.classes == ("a", "b")
    assert [index for index, _ in broken] == [1, 4] and "1.png: not an image" in broken[0][1]
    assert seen == [(k, 6) for k in range(1, 7)]


def test_a_selection_keeps_the_places_of_the_whole(images):
    good, broken = readable(Subset(images, 3), 32)  # 0, 2 and 4
    assert list(good.indices) == [0, 2] and good.labels == (0, 1)
    assert [index for index, _ in broken] == [2]  # its place in the subset


def test_nothing_is_left(images):
    for path in images.root.rglob("*.png"):
        path.write_bytes(b"x")
    with pytest.raises(DatasetError, match=r"none of the 6 images can be read; the first: .*0\.png"):
        readable(images, 32)
