"""One bad file among many: refused by default, passed over and counted with --skip-broken, in every command."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.golden.training.archive import write_archive
from triovit.golden.integer.serialize import load_network


@pytest.fixture
def data(photos, tmp_path):
    """Three images that can be read and a cat that cannot."""
    folder = tmp_path / "photos"
    shutil.copytree(photos, folder)
    (folder / "cat" / "b.png").write_bytes(b"no image")
    return folder


HINT = "b.png: not an image in a known format; --skip-broken passes over such images\n"
COUNTED = "1 of 4 images could not be read and are not counted:\n"


def words_of(command, data, tmp_path):
    return {
        "run": ("run", "--backend", "golden", "--data", data),
        "run files": ("run", "--backend", "golden", "--image", data / "ship", data / "cat", data / "dog" / "c.jpg"),
        "compare": ("compare", "small", "--config", "trio-tiny", "--data", data),
        "compare tensors": ("compare", "small", "--config", "trio-tiny", "--data", data, "--tensors"),
        "quantize": ("quantize", "bundled", "--data", data, "-o", tmp_path / "q.safetensors"),
        "report": ("report", "quantization", "bundled", "--data", data, "-o", tmp_path / "r.html"),
    }[command]


@pytest.mark.parametrize("command", ["run", "run files", "compare", "compare tensors", "quantize", "report"])
def test_commands(triovit, small_file, data, tmp_path, command):
    words = [small_file if word == "small" else word for word in words_of(command, data, tmp_path)]
    outcome = triovit(*words)
    assert (outcome.status, outcome.report) == (2, None) and outcome.err.endswith(HINT), outcome.err
    outcome = triovit(*words, "--skip-broken")
    assert outcome.status == 0, outcome.err
    assert COUNTED in outcome.err and "b.png: not an image in a known format" in outcome.err
    (broken,) = outcome.report["broken"]
    assert broken["index"] == (2 if command == "run files" else 1) and "b.png: " in broken["error"]
    if command.startswith(("run", "compare")):
        assert "images, 1 more could not be read" in outcome.out
    if command.startswith("run"):
        assert len(outcome.report["images"]) == 3
    if command == "run":
        assert outcome.report["accuracy"] in [100 * k / 3 for k in range(4)]
        assert [image["image"] for image in outcome.report["images"]] == ["image 0", "image 2", "image 3"]
    if command == "quantize":
        assert load_network(tmp_path / "q.safetensors").metadata["calibration_images"] == 3
        assert "calibrating on 3 of 4 images" in outcome.err


def test_ablate(triovit, data, tmp_path):
    words = (
        "ablate",
        "bundled",
        "--calibration",
        data,
        "--data",
        data,
        "--variants",
        "minmax",
        "-o",
        tmp_path / "a.json",
    )
    outcome = triovit(*words)
    assert outcome.status == 2 and outcome.err.endswith(HINT), outcome.err
    outcome = triovit(*words, "--skip-broken")
    assert outcome.status == 0 and outcome.err.count(COUNTED) == 2, outcome.err
    report = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert report == outcome.report and report["images"] == 3
    assert [entry["index"] for entry in report["broken"]] == [1] == [e["index"] for e in report["broken_calibration"]]
    assert triovit(*words, "--skip-broken").status == 0  # and it continues


def test_nothing_to_skip_is_nothing_told(triovit, photos):
    outcome = triovit("run", "--backend", "golden", "--data", photos, "--skip-broken")
    assert outcome.status == 0 and outcome.report["broken"] == [] and "could not" not in outcome.err + outcome.out


def test_all_are_broken(refused, data):
    for path in data.rglob("*.*"):
        path.write_bytes(b"x")
    text = refused("run", "--backend", "golden", "--image", data, "--skip-broken")
    assert text.startswith("none of the 4 images can be read; the first: ")


def test_many_broken_ones_are_listed_in_part(triovit, tmp_path):
    for number in range(12):
        (tmp_path / f"{number:02}.png").write_bytes(b"x")
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "good.png")
    outcome = triovit("run", "--backend", "golden", "--image", tmp_path, "--skip-broken")
    assert outcome.status == 0 and "12 of 13 images" in outcome.err and "09.png" in outcome.err
    assert "10.png" not in outcome.err and "and 2 more (--json has them all)" in outcome.err
    assert len(outcome.report["broken"]) == 12 and len(outcome.report["images"]) == 1


def test_train(triovit, tmp_path):
    archive = write_archive(tmp_path / "data.npz", 40, 10)
    arrays = dict(np.load(archive))
    arrays["jpeg"][arrays["offset"][7] : arrays["offset"][8]] = 0
    np.savez(archive, **arrays)
    words = ("train", archive, "-o", tmp_path / "n.safetensors", "--epochs", 1, "--batch", 8)
    outcome = triovit(*words)
    assert outcome.status == 2 and "image 7: not an image" in outcome.err and "--skip-broken" in outcome.err
    outcome = triovit(*words, "--skip-broken")
    assert outcome.status == 0, outcome.err
    assert (outcome.report["training_images"], outcome.report["test_images"]) == (39, 10)
    assert [entry["index"] for entry in outcome.report["broken"]] == [7] and outcome.report["broken_test"] == []
