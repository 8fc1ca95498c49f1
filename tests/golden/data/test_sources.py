"""Paths are opened as what they are."""

import zipfile

import pytest

from tests.golden.data.image_sets import folder, shades, write_archive
from triovit.golden.data.archives import CifarArchive, ImageArchive
from triovit.golden.data.folders import DatasetError, ImageFiles, ImageFolder
from triovit.golden.data.sources import is_archive, open_images, open_labelled


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


def test_what_is_an_archive(tmp_path):
    (tmp_path / "folder.npz").mkdir()
    assert all(is_archive(tmp_path / name) for name in ("a.npz", "absent.zip", "A.ZIP", "a.b.tar"))
    assert not any(is_archive(tmp_path / name) for name in ("folder.npz", ".", "a.npz.gz", "zip", "a.tar.gz"))


def test_what_cannot_be_opened(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "nothing" / "cat").mkdir(parents=True)
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "a.pdf").write_text("no image")
    (tmp_path / "a.tar.gz").write_bytes(b"no archive")
    (tmp_path / "b.zip").write_bytes(b"PK")
    for name, said in (
        ("empty", "no images in it, files that end in jpg, jpeg, png"),
        ("documents", "no images in it, files that end in jpg, jpeg, png"),
        ("nothing", "no images in its class folders"),
        ("absent", "no such folder"),
        ("absent.npz", "no such archive"),
        ("a.tar.gz", r"must be a folder of images or an archive \(\.npz, \.zip, \.tar\)"),
        ("b.zip", r"not a whole \.zip or \.tar archive"),
    ):
        with pytest.raises(DatasetError, match=f"{name}: {said}"):
            open_images(tmp_path / name)
    with pytest.raises(DatasetError, match="absent: no such folder"):
        ImageFiles(tmp_path / "absent")


def zipped(path, root):
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*.png")):
            archive.write(file, file.relative_to(root))
    return path


def test_labelled_images(cluttered, tmp_path):
    assert open_labelled(write_archive(tmp_path / "a.npz")).labels == CifarArchive(tmp_path / "a.npz", "test").labels
    folder(cluttered, "top.png")
    opened = open_labelled(cluttered)  # an image beside the folders has no class
    assert isinstance(opened, ImageFolder) and opened.labels == (0, 0, 1)
    opened = open_labelled(zipped(tmp_path / "b.zip", folder(tmp_path / "b", "ant/0.png", "bee/1.png")))
    assert isinstance(opened, ImageArchive) and opened.labels == (0, 1)
    for path in (zipped(tmp_path / "c.zip", folder(tmp_path / "c", "0.png", "1.png")), tmp_path / "c"):
        with pytest.raises(DatasetError, match=r"c(\.zip)?: no class folders in it; its 2 images have no labels$"):
            open_labelled(path)
        assert len(open_images(path)) == 2
