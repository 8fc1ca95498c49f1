"""CIFAR-10 and CIFAR-100 in the two published forms, as archives and as folders."""

import gzip

import numpy as np
import pytest

from tests.golden.data import public_archives as made
from triovit.golden.data.folders import DatasetError
from triovit.golden.data.public_cifar import PIXELS, read_public
from triovit.golden.errors import TriovitError

FORMS = {
    "cifar10": (made.cifar10_python, made.cifar10_binary),
    "cifar100": (made.cifar100_python, made.cifar100_binary),
}
ALL = [(name, form) for name, forms in FORMS.items() for form in forms]


@pytest.mark.parametrize("name, form", ALL)
def test_all_forms(tmp_path, name, form):
    folder, files, pixels, labels = form()
    expected = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    unpacked = made.write_folder(tmp_path, folder, files)
    (unpacked / "readme.html").write_text("a file more")
    seen = []
    for path in (made.write_tar(tmp_path / "x.tar.gz", folder, files), unpacked, tmp_path):
        found = read_public(path, name, lambda label, done, total: seen.append((label, done, total)))
        assert np.array_equal(found.pixels, expected) and found.labels.tolist() == labels
        assert found.classes == tuple(text.decode() for text in made.names_of(len(found.classes)))
        assert len(found.classes) == int(name.removeprefix("cifar"))
        assert found.training == (20 if name == "cifar10" else 300)
    assert len(seen) >= 9 and all(0 <= done < total for _, done, total in seen)


def refused(path, name) -> str:
    with pytest.raises(TriovitError) as caught:
        read_public(path, name)
    text = str(caught.value)
    assert text.startswith(str(path)) and "\n" not in text
    return text


@pytest.mark.parametrize("name, form", ALL)
def test_the_other_data_set(tmp_path, name, form):
    folder, files, *_ = form()
    other = "cifar100" if name == "cifar10" else "cifar10"
    path = made.write_tar(tmp_path / "x.tar.gz", folder, files)
    assert refused(path, other) == f"{path}: is not {other} but {name}: give 'triovit data {name}'"


def test_no_data_set(tmp_path):
    assert "no such file or folder" in refused(tmp_path / "nowhere.tar.gz", "cifar10")
    assert "neither cifar-10-batches-py nor cifar-10-batches-bin in it" in refused(tmp_path, "cifar10")
    (tmp_path / "text.tar.gz").write_text("<html>not found</html>")
    assert "neither a folder nor a whole .tar.gz archive" in refused(tmp_path / "text.tar.gz", "cifar10")
    folder, files, *_ = made.cifar10_binary()
    whole = made.write_tar(tmp_path / "whole.tar.gz", folder, files).read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(whole[: len(whole) // 2])
    assert "download it again" in refused(tmp_path / "cut.tar.gz", "cifar10")
    damaged = bytearray(gzip.decompress(whole))
    (tmp_path / "damaged.tar.gz").write_bytes(gzip.compress(bytes(damaged[: len(damaged) // 2])))
    assert refused(tmp_path / "damaged.tar.gz", "cifar10")


@pytest.mark.parametrize("name, form", ALL)
def test_a_file_is_missing(tmp_path, name, form):
    folder, files, *_ = form()
    for gone in files:
        if gone == "coarse_label_names.txt":
            continue
        rest = {file: content for file, content in files.items() if file != gone}
        assert f"lacks {gone}" in refused(made.write_tar(tmp_path / f"{gone}.tar.gz", folder, rest), name)


def test_wrong_content(tmp_path):
    folder, files, *_ = made.cifar10_python()
    names, row = made.names_of(10), made.images(2, 0)

    def told(**changes):
        written = files | {name.replace("__", "."): made.python2(value) for name, value in changes.items()}
        path = tmp_path / "x.tar.gz"
        return refused(made.write_tar(path, folder, written), "cifar10").removeprefix(f"{path}, ")

    assert told(batches__meta={b"label_names": names[:9]}).startswith(
        "batches.meta: must hold 10 different class names"
    )
    assert "10 different class names, not 9" in told(batches__meta={b"label_names": [*names[:9], names[0]]})
    assert "class names" in told(batches__meta={b"label_names": 7}) and "not 0" in told(batches__meta={})
    assert told(test_batch={b"data": row, b"labels": [1, 10]}) == "test_batch: label 10 of image 1 must lie in 0..9"
    assert "label -1" in told(test_batch={b"data": row, b"labels": [-1, 1]})
    assert told(data_batch_3={b"data": row, b"labels": [1]}) == "data_batch_3: 1 labels for 2 images"
    assert "list of whole numbers" in told(data_batch_3={b"data": row, b"labels": [b"1", b"2"]})
    assert f"rows of {PIXELS} bytes, not none" in told(data_batch_3={b"labels": [1]})
    assert "not of shape (2, 3071)" in told(data_batch_3={b"data": row[:, 1:].copy(), b"labels": [1, 2]})
    assert "holds no images" in told(data_batch_3={b"data": row[:0], b"labels": []})


def test_wrong_records(tmp_path):
    folder, files, *_ = made.cifar100_binary()
    path = tmp_path / "x.tar.gz"
    for change, message in (
        (
            files["train.bin"][:-1],
            f"must be whole records of {PIXELS + 2} bytes, not {len(files['train.bin']) - 1} bytes",
        ),
        (b"\0\x64" + files["train.bin"][2:], "label 100 of image 0 must lie in 0..99"),
        (b"", "holds no images"),
    ):
        assert message in refused(made.write_tar(path, folder, files | {"train.bin": change}), "cifar100")


def test_a_file_that_would_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("triovit.golden.data.public_cifar.LARGEST_FILE", 1000)
    folder, files, *_ = made.cifar10_binary()
    with pytest.raises(DatasetError, match="more than 1000"):
        read_public(made.write_tar(tmp_path / "x.tar.gz", folder, files), "cifar10")
