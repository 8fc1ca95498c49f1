"""Hashes that tell networks and data sets apart, and nothing else."""

import os

import numpy as np
import pytest
import torch
from PIL import Image

from tests.networks import small_network
from triovit.golden.identity import CODE, GOLDEN, code_hash, data_hash, network_hash
from triovit.golden.network.efficientvit.model import EfficientViT
from triovit.golden.network.seeded import initialize


def test_float_networks():
    first, same, other = (initialize(EfficientViT("b0", 7, 32), seed) for seed in (1, 1, 2))
    assert network_hash(first) == network_hash(same) != network_hash(other)
    same.backbone.input_stem.op_list[0].norm.num_batches_tracked += 5  # not in every file of the same weights
    assert network_hash(first) == network_hash(same)
    with torch.no_grad():
        same.head.op_list[3].linear.bias[3] += 1e-3
    assert network_hash(first) != network_hash(same)


def test_integer_networks():
    first, same, other = small_network(4, size=20), small_network(4, size=20), small_network(5, size=20)
    assert network_hash(first) == network_hash(same) != network_hash(other)


@pytest.fixture
def folder(tmp_path):
    for name in ("a/1.png", "a/2.png", "b/deep/3.PNG"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4, 3), len(name), np.uint8)).save(path)
    return tmp_path / "data"


def test_folders(folder, tmp_path):
    before = data_hash(folder)
    assert before == data_hash(str(folder)) and len(before) == 64
    folder.rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "notes.txt").write_text("no image")
    assert data_hash(tmp_path / "elsewhere") == before


@pytest.mark.parametrize("change", ["moved", "larger", "replaced", "new", "gone"])
def test_changed_folders(folder, change):
    before = data_hash(folder)
    match change:
        case "moved":
            (folder / "a" / "1.png").rename(folder / "b" / "1.png")
        case "larger":
            with (folder / "a" / "1.png").open("ab") as file:
                file.write(b"x")
        case "replaced":  # by one of the same size
            data = (folder / "a" / "1.png").read_bytes()
            (folder / "a" / "1.png").write_bytes(data[::-1])
        case "new":
            (folder / "b" / "9.jpg").touch()
        case "gone":
            (folder / "a" / "1.png").unlink()
    assert data_hash(folder) != before


def test_what_is_linked_counts(folder, tmp_path):
    (tmp_path / "links").mkdir()
    for name in "ab":
        (tmp_path / "links" / name).symlink_to(folder / name)
    before = data_hash(tmp_path / "links")
    assert before == data_hash(folder)
    (folder / "b" / "deep" / "3.PNG").write_bytes(b"another image")
    assert data_hash(tmp_path / "links") != before
    (tmp_path / "links" / "b").unlink()
    (tmp_path / "links" / "b").symlink_to(folder / "a")
    assert data_hash(tmp_path / "links") not in (before, data_hash(folder))


def test_names_that_are_no_text(folder):
    before = data_hash(folder)
    path = os.fsencode(folder / "a" / "1.png")
    os.rename(path, path.replace(b"1.png", b"\xff.png"))  # noqa: PTH104 - pathlib takes texts only
    assert len(data_hash(folder)) == 64 and data_hash(folder) != before


def test_archives(tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(b"some bytes")
    before = data_hash(path)
    path.write_bytes(b"same bytes")
    assert data_hash(path) != before


def test_code(tmp_path):
    def changed(name, text):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
        return code_hash(root=tmp_path)

    states = [changed(f"{package}/a.py", "x = 1\n") for package in CODE]
    states += [changed("network/deep/b.py", "y = 1\n"), changed("network/a.py", "x = 2\n")]
    assert len(set(states)) == len(states)
    assert changed("training/a.py", "x = 1\n") == changed("network/notes.txt", "text") == states[-1]
    assert code_hash(("training",), tmp_path) != states[-1] != code_hash((*CODE, "training"), tmp_path)
    assert len(code_hash()) == 64 and all((GOLDEN / package / "__init__.py").is_file() for package in CODE)
