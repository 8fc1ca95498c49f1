"""triovit compare: it agrees where it should, and finds a single wrong weight."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from triovit.flow import compare, images
from triovit.flow.difference import find_difference, layer_of
from triovit.golden.integer.execute import execute
from triovit.golden.integer.nodes import Attention, Convolution
from triovit.golden.integer.serialize import load_network, save_network
from triovit.hdl.config.accelerator import PRESETS

CONFIG = ("--config", "trio-tiny")


@pytest.fixture(scope="module")
def network(small_file):
    return load_network(small_file)


def changed(network, name, **changes):
    """The network with another value of a node's field."""
    nodes = tuple(dataclasses.replace(n, **changes) if n.name == name else n for n in network.nodes)
    return dataclasses.replace(network, nodes=nodes)


def golden_of(other):
    """In place of the integer model's `execute`: the one of another network."""
    return lambda network, image, **options: execute(other, image, **options)


def test_no_difference(triovit, small_file, network):
    outcome = triovit("compare", small_file, *CONFIG)
    report = outcome.report
    assert outcome.status == 0
    assert report["differences"] == []
    # Attention's intermediates are compared too.
    expected = {node.name for node in network.nodes} | {"input"}
    assert report["tensors"] > len(expected)
    assert f"0 of {report['tensors']} tensors differ" in outcome.out
    assert "first difference" not in outcome.out and " NO " not in outcome.out
    layers = report["layers"]
    assert [layer["layer"] for layer in layers] == [node.name for node in network.nodes]
    assert all(layer["match"] for layer in layers)
    assert all(layer["layer"] in outcome.out for layer in layers)


def test_cycles_of_layers_add_up(triovit, small_file):
    report = triovit("compare", small_file, *CONFIG).report
    cycles = [layer["cycles"] for layer in report["layers"] if layer["cycles"] is not None]
    assert 0.9 * report["cycles"] < sum(cycles) <= report["cycles"]
    for layer in report["layers"]:
        assert (layer["cycles"] is None) == (layer["pipelined_with"] is not None)
        assert layer["utilization"] is None or 0 <= layer["utilization"] <= 100
    multipliers = PRESETS["trio-tiny"].multipliers
    assert report["macs"] == sum(layer["macs"] for layer in report["layers"])
    assert report["utilization"] == pytest.approx(100 * report["macs"] / (report["cycles"] * multipliers))
    assert 0 < report["utilization"] < 100


def wrong_weight(network, name):
    node = next(node for node in network.nodes if node.name == name)
    weight = node.weight.copy()
    weight[0, 0, 0, 0] = -weight[0, 0, 0, 0] + 50
    return changed(network, name, weight=weight)


def test_one_wrong_weight_is_found_where_it_is(triovit, monkeypatch, small_file, network):
    """In the first, a middle and the last convolution: the first difference is that layer, whatever follows."""
    names = [node.name for node in network.nodes if isinstance(node, Convolution)]
    for name in (names[0], names[len(names) // 2], names[-1]):
        other = wrong_weight(network, name)
        monkeypatch.setattr(compare, "execute_network", golden_of(other))
        outcome = triovit("compare", small_file, *CONFIG)
        assert outcome.status == 1
        first = outcome.report["differences"][0]
        assert first["layer"] == first["tensor"] == name
        image = images.find_image(None, network.input_shape[1]).input
        ours, theirs = execute(network, image, keep=True)[name], execute(other, image, keep=True)[name]
        index = tuple(first["index"])
        assert index == tuple(np.argwhere(ours != theirs)[0])
        assert (first["expected"], first["found"]) == (theirs[index], ours[index])
        assert first["elements"] == (ours != theirs).sum() and first["size"] == ours.size
        line = f"first difference: layer {name}, index {list(index)}: integer model {theirs[index]}, RTL {ours[index]} "
        assert line in outcome.out
        rows = {layer["layer"]: layer["match"] for layer in outcome.report["layers"]}
        before = [node.name for node in network.nodes][: [node.name for node in network.nodes].index(name)]
        assert not rows[name] and all(rows[layer] for layer in before)
        assert f"{len(outcome.report['differences'])} of " in outcome.out and " NO " in outcome.out


@pytest.mark.parametrize("kind, what", [("product", "kv0"), ("key_sum", "sum0")])
def test_intermediates_belong_to_their_attention(triovit, monkeypatch, small_file, network, kind, what):
    node = next(node for node in network.nodes if isinstance(node, Attention))
    records = getattr(node, kind)
    shifted = dataclasses.replace(records[0], zero_point=records[0].zero_point + 3)
    other = changed(network, node.name, **{kind: (shifted, *records[1:])})
    monkeypatch.setattr(compare, "execute_network", golden_of(other))
    outcome = triovit("compare", small_file, *CONFIG)
    assert outcome.status == 1
    first = outcome.report["differences"][0]
    assert (first["layer"], first["tensor"]) == (node.name, f"{node.name}.{what}")
    assert f"layer {node.name}, tensor {node.name}.{what}, index" in outcome.out
    wrong = [layer["layer"] for layer in outcome.report["layers"] if not layer["match"]]
    assert wrong[0] == node.name


def test_an_intermediate_alone_fails_its_row(triovit, monkeypatch, small_file, network):
    """Though all layers' outputs agree."""
    node = next(node for node in network.nodes if isinstance(node, Attention))

    def golden(network, image, **options):
        tensors = execute(network, image, **options)
        tensors[f"{node.name}.code1"][-1, -1] ^= 1
        return tensors

    monkeypatch.setattr(compare, "execute_network", golden)
    outcome = triovit("compare", small_file, *CONFIG)
    assert outcome.status == 1
    assert [layer["layer"] for layer in outcome.report["layers"] if not layer["match"]] == [node.name]
    (only,) = outcome.report["differences"]
    assert only["tensor"] == f"{node.name}.code1" and only["elements"] == 1


def test_logits_of_many_images(triovit, monkeypatch, small_file, network, photos):
    outcome = triovit("compare", small_file, *CONFIG, "--data", photos)
    assert outcome.status == 0
    assert outcome.report["different"] == [] and outcome.report["images"] == len(outcome.report["cycles"]) == 4
    assert "logits equal on 4 of 4 images" in outcome.out
    assert outcome.report["rtl_accuracy"] == outcome.report["golden_accuracy"]

    calls = []

    def wrong_third(network, image, **options):
        tensors = execute(network, image, **options)
        calls.append(1)
        if len(calls) == 3:
            tensors[network.output][4] += 1
        return tensors

    monkeypatch.setattr(compare, "execute_network", wrong_third)
    outcome = triovit("compare", small_file, *CONFIG, "--data", photos)
    assert outcome.status == 1
    assert outcome.report["different"] == ["image 2"]
    assert "logits equal on 3 of 4 images" in outcome.out
    assert f"first difference: image 2: layer {network.output}, index [4]: integer model" in outcome.out


def test_wrong_words(refused, triovit, small_file, network, photos, tmp_path):
    assert refused("compare", small_file, *CONFIG, "--tensors").startswith("--tensors goes with --data")
    bare, text = tmp_path / "bare.safetensors", f"--data {photos}: 3 classes, the network has 10 outputs, and no names"
    save_network(dataclasses.replace(network, classes=()), bare)
    assert refused("compare", bare, *CONFIG, "--data", photos).startswith(text)
    other = tmp_path / "ten"
    for name in "abcdefghij":
        (other / name).mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(other / name / "x.png")
    save_network(dataclasses.replace(network, nodes=network.nodes[:1], classes=()), bare)
    assert "a classifier's last tensor must be 1 x 1" in refused("compare", bare, *CONFIG, "--data", other)


def test_every_core_is_compared(triovit, monkeypatch, small_file, network, tmp_path):
    values = dataclasses.asdict(PRESETS["trio-tiny"]) | {"cores": 2, "name": "pair"}
    path = tmp_path / "pair.json"
    path.write_text(json.dumps(values))
    assert triovit("compare", small_file, "--config", path).status == 0
    read = compare.simulate

    def second_core_fails(machine, sources):
        runs = read(machine, sources)
        layout = machine.program.tensors[network.output]
        runs[0].memory[1, layout.offset] ^= 1
        return runs

    monkeypatch.setattr(compare, "simulate", second_core_fails)
    outcome = triovit("compare", small_file, "--config", path)
    assert outcome.status == 1
    (only,) = outcome.report["differences"]
    assert (only["layer"], only["core"]) == (network.output, 1)


def test_find_difference():
    a = np.arange(24, dtype=np.int8).reshape(2, 3, 4)
    b = a.copy()
    assert find_difference("x", "x", a, b) is None
    b[1, 0, 2], b[1, 2, 3] = -5, -6
    difference = find_difference("x", "x.kv0", a, b, core=3)
    assert (difference.index, difference.expected, difference.found) == ((1, 0, 2), 14, -5)
    assert (difference.elements, difference.size, difference.core) == (2, 24, 3)
    assert str(difference) == (
        "layer x, tensor x.kv0, index [1, 0, 2]: integer model 14, RTL -5 (2 of 24 elements differ, core 3)"
    )
    with pytest.raises(ValueError, match="shape"):
        find_difference("x", "x", a, b[:1])


def test_layer_of():
    layers = {"a", "a.b", "a.b.attention"}
    assert [layer_of(name, layers) for name in ("a", "a.b", "a.b.attention.kv0")] == ["a", "a.b", "a.b.attention"]


def test_every_tensor_of_many_images(triovit, small_file, network, photos, monkeypatch):
    arguments = ("compare", small_file, *CONFIG, "--data", photos, "--images", 3, "--tensors")
    outcome = triovit(*arguments)
    assert outcome.status == 0, outcome.err
    assert len(outcome.report["images"]) == 3
    tensors = [image["tensors"] for image in outcome.report["images"]]
    assert min(tensors) == max(tensors) > len(network.nodes)
    assert f"0 of {sum(tensors)} tensors differ, on 0 of 3 images" in outcome.out
    monkeypatch.setattr(compare, "execute_network", golden_of(wrong_weight(network, network.nodes[0].name)))
    outcome = triovit(*arguments)
    assert outcome.status == 1
    assert "on 3 of 3 images" in outcome.out
    first = outcome.report["images"][0]["differences"][0]
    assert first["layer"] == network.nodes[0].name and first["elements"] > 0
