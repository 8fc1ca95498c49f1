"""Broken float checkpoints: one line, status 2, nothing written, nothing executed."""

import argparse
import pickle
import subprocess

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from triovit.golden.assets import FLOAT_NETWORK
from triovit.golden.integer.serialize import load_network
from triovit.golden.network.efficientvit.checkpoint import CLASSIFIER_KEY, STEM_KEY


@pytest.fixture(scope="module")
def state():
    return load_file(FLOAT_NETWORK)


NORM = "backbone.stages.1.op_list.0.main.depth_conv.norm."


def poisoned(tensor, value):
    """A copy with one wrong number."""
    copy = tensor.clone()
    copy[3] = value
    return copy


class Malicious:
    """Runs a command when a careless reader unpickles it."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return subprocess.run, (["touch", str(self.marker)],)


@pytest.fixture
def quantize_refused(refused, tmp_path):
    """Quantizing a file is refused in a line that names it, and leaves nothing behind; returns the line."""

    def call(path) -> str:
        before = sorted(tmp_path.iterdir())
        target = tmp_path / "result.safetensors"
        text = refused("quantize", path, "--resolution", 64, "--data", tmp_path, "-o", target)
        assert path.name in text
        assert sorted(tmp_path.iterdir()) == before
        assert path.name in refused("run", path, "--backend", "float", "--resolution", 64)
        return text

    return call


def test_truncated(quantize_refused, tmp_path):
    data = FLOAT_NETWORK.read_bytes()
    for length in (0, 4, 100, len(data) // 2, len(data) - 1):
        path = tmp_path / "cut.safetensors"
        path.write_bytes(data[:length])
        quantize_refused(path)


def test_truncated_torch_file(quantize_refused, tmp_path, state):
    path = tmp_path / "cut.pth"
    torch.save(state, path)
    data = path.read_bytes()
    for length in (0, 100, len(data) // 2):
        path.write_bytes(data[:length])
        quantize_refused(path)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".safetensors"])
def test_random_bytes(quantize_refused, tmp_path, suffix):
    for seed in range(4):
        path = tmp_path / f"noise{suffix}"
        path.write_bytes(np.random.default_rng(seed).bytes(3000))
        quantize_refused(path)


def test_code_in_a_pickle_does_not_run(quantize_refused, tmp_path):
    marker = tmp_path / "executed"
    torch.save({"state_dict": Malicious(marker)}, tmp_path / "zip.pth")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Malicious(marker)))
    for name in ("zip.pth", "plain.pt"):
        quantize_refused(tmp_path / name)
    assert not marker.exists()
    pickle.loads((tmp_path / "plain.pt").read_bytes())
    assert marker.exists()  # a careless reader would have done it


def test_wrong_tensors(quantize_refused, tmp_path, state):
    name = CLASSIFIER_KEY.replace("weight", "bias")
    cases = {
        "missing": {k: v for k, v in state.items() if k != name},
        "unexpected": state | {"more.weight": torch.zeros(3)},
        "mis-shaped": state | {name: torch.zeros(11)},
        "non-finite": state | {name: torch.full((10,), torch.nan)},
        "infinite": state | {name: torch.full((10,), torch.inf)},
        "integers": state | {name: torch.zeros(10, dtype=torch.int32)},
        "one-NaN": state | {NORM + "weight": poisoned(state[NORM + "weight"], torch.nan)},
        "one-infinity": state | {NORM + "running_mean": poisoned(state[NORM + "running_mean"], -torch.inf)},
        "negative-variance": state | {NORM + "running_var": -state[NORM + "running_var"]},
        "no EfficientViT": {"fc.weight": torch.zeros(10, 4)},
        "another stem": state | {STEM_KEY: torch.zeros(13, 3, 3, 3)},
    }
    for case, tensors in cases.items():
        path = tmp_path / f"{case.replace(' ', '-')}.safetensors"
        save_file(tensors, path)
        text = quantize_refused(path)
        if case in ("missing", "unexpected", "mis-shaped", "non-finite"):
            assert case in text and (name in text or "more.weight" in text)
        if case in ("one-NaN", "one-infinity", "negative-variance"):
            assert f"non-finite: {NORM}" in text


def test_objects_beside_the_weights(quantize_refused, tmp_path, state):
    """Training programs save their options too; such a file is not read, harmless as its objects may be."""
    path = tmp_path / "training.pth"
    torch.save({"state_dict": state, "options": argparse.Namespace(rate=0.1)}, path)
    assert "it is damaged or holds more than tensors" in quantize_refused(path)


@pytest.mark.parametrize(("factor", "said"), [(1e30, "not finite numbers"), (1e4, "beyond 16-bit fixed point")])
def test_weights_that_numbers_cannot_hold(triovit, photos, tmp_path, state, factor, said):
    """Finite weights whose activations are not, or are beyond the hardware's fixed point."""
    path, target = tmp_path / "large.safetensors", tmp_path / "result.safetensors"
    save_file(state | {NORM + "weight": state[NORM + "weight"] * factor}, path)
    outcome = triovit("quantize", path, "--resolution", 64, "--data", photos, "--images", 1, "-o", target)
    assert outcome.status == 2 and not target.exists() and outcome.out == ""
    _, before, line = outcome.err.splitlines()
    assert before.startswith("calibrating on 1 of 4 images")
    assert line.startswith("triovit quantize: error: backbone.stages.") and said in line


@pytest.mark.parametrize("names", [("ant", "bee"), tuple("abcdefghij"), tuple("abcdefghijk")])
def test_data_with_another_number_of_classes(triovit, tmp_path, state, names):
    """Calibration needs no labels: other classes are no error, but they do not name the network's outputs."""
    unnamed = tmp_path / "unnamed.safetensors"
    save_file(state, unnamed)
    for name in names:
        (tmp_path / "data" / name).mkdir(parents=True)
        Image.new("RGB", (9, 9), (9 * len(names), 40, 7)).save(tmp_path / "data" / name / "x.png")
    target = tmp_path / "result.safetensors"
    outcome = triovit("quantize", unnamed, "--resolution", 64, "--data", tmp_path / "data", "-o", target)
    assert outcome.status == 0
    assert load_network(target).classes == (names if len(names) == 10 else ())
    assert ("as many as the network's outputs: names taken in this order" in outcome.err) == (len(names) == 10)


def test_facts_that_break_a_rule(quantize_refused, tmp_path, state):
    facts = {"classes": '["a", "b"]', "std": "[1, 1, 1e-60]", "mean": '"x"', "resolution": "100"}
    said = ("names 2 classes for 10 outputs", "std must be three numbers", "mean must be", "resolution must be a")
    for (name, value), text in zip(facts.items(), said, strict=True):
        path = tmp_path / f"{name}.safetensors"
        save_file(state, path, metadata={name: value})
        assert text in quantize_refused(path)


def test_no_dictionary(quantize_refused, tmp_path):
    for number, content in enumerate(([1, 2], {"a": 1}, {}, torch.zeros(3), {"state_dict": {}})):
        path = tmp_path / f"strange{number}.pth"
        torch.save(content, path)
        quantize_refused(path)


def test_not_a_file(quantize_refused, tmp_path):
    (tmp_path / "folder.pth").mkdir()
    quantize_refused(tmp_path / "folder.pth")
    quantize_refused(tmp_path / "nowhere.pth")
    (tmp_path / "notes.txt").write_text("hello")
    assert "suffix" in quantize_refused(tmp_path / "notes.txt")


@pytest.mark.parametrize("name", ["b9-r224", "b0-r100", "b0-r0", "b0-r4096", "b0-r99999"])
def test_unknown_presets(refused, tmp_path, name):
    target = tmp_path / "result.safetensors"
    assert "b0, b1, b2, b3" in (text := refused("quantize", name, "-o", target)) or "multiple of 32" in text
    for command in ("compile", "run", "compare"):
        assert refused(command, name) == text


@pytest.mark.parametrize("resolution", ["0", "-32", "65", "100000", "64.0", "x"])
def test_impossible_resolutions(refused, tmp_path, resolution):
    text = refused("quantize", FLOAT_NETWORK, f"--resolution={resolution}", "-o", tmp_path / "result.safetensors")
    assert "--resolution" in text and "multiple of 32" in text
