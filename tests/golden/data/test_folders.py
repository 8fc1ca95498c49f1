"""Folders of images, and selections of them."""

import pytest

from tests.golden.data.image_sets import folder, shades
from triovit.golden.data.folders import DatasetError, ImageFiles, ImageFolder, Sample, Subset


def test_image_folder(tmp_path):
    root = folder(tmp_path, "cow/2.png", "ant/b/1.PNG", "ant/0.jpg", ".hidden/3.png", "4.png")
    (root / "ant" / "notes.txt").write_text("no image")
    dataset = ImageFolder(root)
    assert dataset.classes == ("ant", "cow")
    assert dataset.labels == (0, 0, 1)
    levels = [round(dataset.image(index, 32).mean()) for index in range(len(dataset))]
    assert levels == [2, 1, 0]


def test_clutter_is_passed_over(cluttered):
    assert shades(ImageFolder(cluttered)) == shades(ImageFiles(cluttered)) == [0, 1, 2]
    assert ImageFolder(cluttered).classes == ("ant", "bee")
    assert ImageFiles(cluttered).classes == ImageFiles(cluttered).labels == ()


def test_links_are_followed_but_never_in_circles(tmp_path):
    store = folder(tmp_path / "store", "x/0.png", "x/deep/1.png", "y/2.png")
    root = folder(tmp_path / "set", "ant/0.png")
    (root / "bee").symlink_to(store / "x")  # a class
    (root / "ant" / "more").symlink_to(store / "y")  # within a class
    (store / "x" / "deep" / "up").symlink_to(store / "x")
    (store / "y" / "set").symlink_to(root)
    (root / "ant" / "self").symlink_to("self")
    dataset = ImageFolder(root)
    assert dataset.classes == ("ant", "bee")
    assert shades(dataset) == [0, 2, 0, 1] and dataset.labels == (0, 0, 1, 1)
    assert shades(ImageFiles(root)) == shades(dataset)


def test_a_folder_s_path_may_be_relative(tmp_path, monkeypatch):
    folder(tmp_path / "set", "ant/0.png", "bee/deep/1.png")
    for place, path in ((tmp_path / "set", "."), (tmp_path / "set" / "ant", ".."), (tmp_path, "set")):
        monkeypatch.chdir(place)
        assert ImageFolder(path).labels == (0, 1) and shades(ImageFolder(path)) == [0, 1]


def test_hidden_folders_can_be_named_themselves(tmp_path):
    root = folder(tmp_path / ".cache" / "set", "a.png")
    assert len(ImageFiles(root)) == 1


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
    folder(tmp_path, "0.png", "ant/1.png")
    (tmp_path / "elk").mkdir()
    assert shades(ImageFolder(tmp_path)) == [1] and ImageFolder(tmp_path).classes == ("ant", "elk")
