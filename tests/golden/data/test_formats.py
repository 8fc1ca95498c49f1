"""Data in forms that are not read: told what it is, and what would do."""

import gzip
import io
import lzma
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from triovit.golden.data.folders import DatasetError
from triovit.golden.data.sources import open_images, open_labelled


def tar(mode):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        archive.addfile(tarfile.TarInfo("a"), io.BytesIO())
    return stream.getvalue()


def array():
    stream = io.BytesIO()
    np.save(stream, np.zeros(3))
    return stream.getvalue()


UNPACK, WRITE = "unpack it first", "write its images as files, in a folder per class"
FILES = {
    "photos.tar.gz": (tar("w:gz"), "gzip-compressed", UNPACK),
    "photos.tgz": (gzip.compress(b"x"), "gzip-compressed", UNPACK),
    "photos.tar.xz": (lzma.compress(b"x"), "xz-compressed", UNPACK),
    "photos.tar.bz2": (tar("w:bz2"), "bzip2-compressed", UNPACK),
    "photos.tar.zst": (b"\x28\xb5\x2f\xfd" + bytes(9), "zstd-compressed", UNPACK),
    "photos.rar": (b"Rar!\x1a\x07", "a RAR archive", UNPACK),
    "photos.7z": (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", UNPACK),
    "photos.tar.backup": (tar("w"), "a tar archive by its content", "let its name end in .tar"),
    "photos.npy": (array(), "one NumPy array", WRITE),
    "photos.h5": (b"\x89HDF\r\n\x1a\n" + bytes(9), "HDF5", WRITE),
    "photos.parquet": (b"PAR1" + bytes(9), "Parquet", WRITE),
    "data.mdb": (bytes(16) + b"\xde\xc0\xef\xbe" + bytes(9), "an LMDB database", WRITE),
    "data_batch_1": (pickle.dumps({}, 2), "a Python pickle", "'triovit data'"),
    "photos.txt": (b"a.jpg\nb.jpg\n", "must be a folder of images or an archive (.npz, .zip, .tar)", ""),
    "empty": (b"", "must be a folder of images or an archive", ""),
}


def refused(path) -> list[str]:
    told = []
    for read in (open_images, open_labelled):
        with pytest.raises(DatasetError) as caught:
            read(path)
        told.append(str(caught.value))
        assert told[-1].startswith(f"{path}: ") and "\n" not in told[-1] and "no such" not in told[-1]
    return told


@pytest.mark.parametrize("name", FILES)
def test_files(tmp_path, name):
    content, what, remedy = FILES[name]
    (tmp_path / name).write_bytes(content)
    for text in refused(tmp_path / name):
        assert what in text and remedy in text and "folder of images or an archive (.npz, .zip, .tar)" in text


def test_a_zip_of_another_name(tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.cbz", "w") as archive:
        archive.writestr("a/b.png", b"x")
    assert all("let its name end in .zip" in text for text in refused(tmp_path / "photos.cbz"))


def test_one_image(tmp_path):
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    assert all("is one image" in text and "--image" in text for text in refused(tmp_path / "a.png"))


def test_cifar_as_it_is_published(tmp_path):
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(gzip.compress(b""))
    (tmp_path / "cifar-100-python").mkdir()
    (tmp_path / "cifar-100-python" / "train").write_bytes(b"\x80\x02}.")
    for name, kind in (("cifar-10-python.tar.gz", "cifar10"), ("cifar-100-python", "cifar100")):
        for text in refused(tmp_path / name):
            assert f"'triovit data {kind} {tmp_path / name} -o FILE.npz'" in text


def test_folders(tmp_path):
    for name in ("archives", "arrays", "lmdb", "classes/ant", "empty"):
        (tmp_path / name).mkdir(parents=True)
    for name in (
        "archives/n01.tar",
        "archives/n02.tar",
        "arrays/a.npy",
        "arrays/b.npy",
        "arrays/c.txt",
        "lmdb/data.mdb",
    ):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "classes" / "ant" / "x.avif").write_bytes(b"x")
    for name, told in (
        ("archives", "it holds files, 2 .tar: unpack the archives first"),
        ("arrays", "it holds files, 2 .npy, 1 .txt"),
        ("lmdb", "it is an LMDB database"),
        ("classes", "it holds files, 1 .avif"),
        ("empty", "in it"),
    ):
        assert all(told in text for text in refused(tmp_path / name)), name


def test_images_without_labels_are_told_from_none(tmp_path):
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    with pytest.raises(DatasetError, match="no class folders in it; its 1 images have no labels"):
        open_labelled(tmp_path)


def test_archives_within_an_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("train.zip", b"x")
        archive.writestr("notes.txt", b"x")
    for text in refused(tmp_path / "x.zip"):
        assert text.endswith("no images in it; it holds files, 1 .zip, 1 .txt: unpack the archives first")


def test_another_npz(tmp_path):
    np.savez(tmp_path / "x.npz", x_train=np.zeros(3), y_train=np.zeros(3))
    for text in refused(tmp_path / "x.npz"):
        assert "arrays missing: jpeg, " in text and "it holds x_train, y_train; 'triovit data'" in text
