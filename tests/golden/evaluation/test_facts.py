"""What checkpoints say beside their weights."""

import json

import pytest
import torch
from safetensors.torch import save_file

from golden.evaluation.facts import Facts, read_facts
from golden.network.bundled import BUNDLED_PATH, load_bundled
from golden.network.checkpoint import CheckpointError
from golden.network.preprocess import IMAGENET_MEAN, IMAGENET_STD


def written(path, **facts):
    save_file({"x": torch.zeros(1)}, path, metadata=facts or None)
    return path


def test_the_bundled_network_s():
    bundled = load_bundled()
    assert read_facts(BUNDLED_PATH) == Facts(bundled.classes, 64, bundled.mean, bundled.std)


def test_what_is_missing_keeps_its_default(tmp_path):
    assert read_facts(written(tmp_path / "a.safetensors")) == Facts((), None, IMAGENET_MEAN, IMAGENET_STD)
    found = read_facts(written(tmp_path / "b.safetensors", mean="[0, 0.5, 1]", other="{"))
    assert found == Facts((), None, (0, 0.5, 1), IMAGENET_STD)


def test_torch_files_have_none(tmp_path):
    torch.save({"x": torch.zeros(1)}, tmp_path / "a.pt")
    assert read_facts(tmp_path / "a.pt") == Facts()


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("mean", "[1, 2]", "three finite numbers"),
        ("mean", "[1, 2, NaN]", "three finite numbers"),
        ("mean", '"abc"', "three finite numbers"),
        ("std", "[1, 2, 0]", "three finite numbers above 0"),
        ("std", "[1, 2, true]", "three finite numbers above 0"),
        ("classes", "[1, 2]", "a list of texts"),
        ("classes", '"ab"', "a list of texts"),
        ("resolution", '"64"', "a whole number"),
        ("resolution", "true", "a whole number"),
        ("resolution", "{", "JSON"),
        ("mean", "[" * 100_000, "JSON"),
    ],
)
def test_rules(tmp_path, name, value, rule):
    path = written(tmp_path / "a.safetensors", **{name: value})
    with pytest.raises(CheckpointError, match=rf"a\.safetensors: {name} must be {rule}, not ") as caught:
        read_facts(path)
    assert len(str(caught.value)) < 400


def test_values_are_told_as_json(tmp_path):
    path = written(tmp_path / "a.safetensors", std=json.dumps([1, -1, 1]))
    with pytest.raises(CheckpointError, match=r"std must be three finite numbers above 0, not \[1, -1, 1\]"):
        read_facts(path)
