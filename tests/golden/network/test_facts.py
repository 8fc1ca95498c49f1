"""What checkpoints say beside their weights."""

import json
import re

import pytest
import torch
from safetensors.torch import save_file

from triovit.golden.assets import FLOAT_NETWORK
from triovit.golden.data.images import IMAGENET_MEAN, IMAGENET_STD
from triovit.golden.network.bundled import load_bundled
from triovit.golden.network.checkpoint import CheckpointError, read_checkpoint
from triovit.golden.network.facts import Facts

MEAN_RULE, STD_RULE = "three numbers in -10..10", "three numbers in 1e-06..1e+06"
RESOLUTION_RULE = "a multiple of 32 in 32..1024"


def read_facts(path):
    return read_checkpoint(path).facts()


def written(path, **facts):
    save_file({"x": torch.zeros(1)}, path, metadata=facts or None)
    return path


def test_the_bundled_network_s():
    bundled = load_bundled()
    assert read_facts(FLOAT_NETWORK) == Facts(bundled.classes, 64, bundled.mean, bundled.std)


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
        ("mean", "[1, 2]", MEAN_RULE),
        ("mean", "[1, 2, NaN]", MEAN_RULE),
        ("mean", '"abc"', MEAN_RULE),
        ("mean", "[123.675, 116.28, 103.53]", MEAN_RULE),
        ("mean", "[0, 0, -10.5]", MEAN_RULE),
        ("std", "[1, 2, 0]", STD_RULE),
        ("std", "[1, 2, true]", STD_RULE),
        ("std", "[1, 2, 1e-60]", STD_RULE),
        ("std", "[1, 2, Infinity]", STD_RULE),
        ("classes", "[1, 2]", "a list of texts"),
        ("classes", '"ab"', "a list of texts"),
        ("resolution", '"64"', RESOLUTION_RULE),
        ("resolution", "true", RESOLUTION_RULE),
        ("resolution", "100", RESOLUTION_RULE),
        ("resolution", "0", RESOLUTION_RULE),
        ("resolution", "1056", RESOLUTION_RULE),
        ("resolution", "64.0", RESOLUTION_RULE),
        ("resolution", "{", "JSON"),
        ("mean", "[" * 100_000, "JSON"),
    ],
)
def test_rules(tmp_path, name, value, rule):
    path = written(tmp_path / "a.safetensors", **{name: value})
    with pytest.raises(CheckpointError, match=re.escape(f"a.safetensors: {name} must be {rule}, not ")) as caught:
        read_facts(path)
    assert len(str(caught.value)) < 400


def test_values_at_the_ends_of_the_rules(tmp_path):
    values = {"mean": "[-10, 0, 10]", "std": "[1e-6, 1, 1e6]", "resolution": "1024"}
    found = read_facts(written(tmp_path / "a.safetensors", **values))
    assert found == Facts((), 1024, (-10, 0, 10), (1e-6, 1, 1e6))


def test_values_are_told_as_json(tmp_path):
    path = written(tmp_path / "a.safetensors", std=json.dumps([1, -1, 1]))
    with pytest.raises(CheckpointError, match=re.escape(f"std must be {STD_RULE}, not [1, -1, 1]")):
        read_facts(path)
