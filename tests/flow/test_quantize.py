"""triovit quantize."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from tests.golden.quantization.schemes import tiny_model
from triovit.golden.assets import FLOAT_NETWORK, INTEGER_NETWORK
from triovit.golden.identity import network_hash
from triovit.golden.integer.family import family
from triovit.golden.integer.names import short_names
from triovit.golden.integer.serialize import load_network
from triovit.golden.network.bundled import load_bundled
from triovit.golden.network.checkpoint import save_checkpoint
from triovit.golden.network.efficientvit.model import EfficientViT
from triovit.golden.network.facts import Facts
from triovit.golden.network.seeded import initialize
from triovit.golden.quantization.calibration.images import calibration_images
from triovit.golden.quantization.methods import METHODS
from triovit.golden.quantization.quantize import quantize
from triovit.golden.quantization.reconstruction import options as presets
from triovit.golden.quantization.settings import QuantizationError, Settings


@pytest.fixture
def tiny(monkeypatch):
    """The commands' model is a tiny one, whatever its name."""
    monkeypatch.setattr("triovit.flow.quantize.find_float", lambda *_: (tiny_model(), Facts()))
    return "b0-r32"


def test_checkpoint_with_images_of_a_folder(triovit, photos, tmp_path):
    target = tmp_path / "b0.safetensors"
    outcome = triovit("quantize", FLOAT_NETWORK, "--resolution", 64, "--data", photos, "--images", 3, "-o", target)
    assert outcome.status == 0
    network = load_network(target)
    assert network.input_shape == (3, 64, 64) and network.shapes()[network.output] == (10, 1, 1)
    assert network.classes == load_bundled().classes  # its file's; the folder has three
    assert outcome.report["layers"] == len(network.nodes)
    assert outcome.report["metadata"]["calibration_images"] == network.metadata["calibration_images"] == 3
    assert "calibrating on 3 of 4 images" in outcome.err
    assert f"warning: {network.metadata['warnings'][0]}" in outcome.err and "32 are safe" in outcome.err
    assert f"{len(network.nodes)} layers" in outcome.out
    assert f"widest accumulator {max(a['bits'] for a in outcome.report['accumulators'])} of 32 bits" in outcome.out
    names = short_names(network.shapes())
    for bound in outcome.report["accumulators"]:  # the table has every accumulation
        cells = f"│ {names[bound['layer']]} ", f" {bound['operation']} "
        row = next(line for line in outcome.out.splitlines() if all(cell in line for cell in cells))
        assert f"{bound['bound']:,}" in row
    assert not list(tmp_path.glob("*.partial"))


def test_outliers_are_told(triovit, monkeypatch, tmp_path):
    model = tiny_model()
    with torch.no_grad():
        one, two = model.backbone.stages[0].op_list[0].main, model.backbone.stages[1].op_list[0].main
        one.point_conv.norm.weight[3] *= 1000
        one.point_conv.norm.bias[3] *= 1000
        two.inverted_conv.conv.weight[:, 3] /= 1000
    monkeypatch.setattr("triovit.flow.quantize.find_float", lambda *_: (model, Facts()))
    outcome = triovit("quantize", "b0-r32", "--images", 4, "-o", tmp_path / "q.safetensors")
    name = "backbone.stages.0.op_list.0.main.point_conv"
    factor = outcome.report["metadata"]["equalized"][name]["3"]
    assert factor in (512, 1024, 2048)
    assert f"{name}: outliers equalized (channel 3 by {factor:g})" in outcome.err


def test_what_the_file_says_goes_into_the_network(triovit, photos, tmp_path):
    target, names = tmp_path / "q.safetensors", tmp_path / "names.txt"
    facts = {"classes": list("gfedcba"), "resolution": 32, "mean": [0.1, 0.2, 0.3], "std": [0.5, 0.25, 0.125]}
    model = initialize(EfficientViT("b0", 7, 32), 1)
    save_checkpoint(model, tmp_path / "b0.safetensors", {name: json.dumps(value) for name, value in facts.items()})
    assert triovit("quantize", tmp_path / "b0.safetensors", "--data", photos, "-o", target).status == 0
    network, metadata = load_network(target), load_network(target).metadata
    images = calibration_images(photos, 256, 32, 0)
    expected = quantize(
        model, images, name="b0", classes="gfedcba", mean=facts["mean"], std=facts["std"], settings=METHODS["trio"]
    )
    assert network.classes == tuple("gfedcba") and metadata["resolution"] == 32
    assert (metadata["mean"], metadata["std"]) == (facts["mean"], facts["std"])
    assert metadata["model_hash"] == network_hash(model)
    assert network_hash(network) == network_hash(expected.with_metadata(method="trio"))
    # A file of names goes before the checkpoint's.
    names.write_text("\n".join("ABCDEFG"))
    again = triovit(
        *("quantize", tmp_path / "b0.safetensors", "--classes", names, "--resolution", 64, "--images", 1),
        *("--data", photos, "-o", target),
    )
    assert again.status == 0 and load_network(target).classes == tuple("ABCDEFG")
    assert load_network(target).input_shape == (3, 64, 64)


def test_wrong_names(triovit, refused, photos, tmp_path):
    model = initialize(EfficientViT("b0", 7, 32), 1)
    save_checkpoint(model, tmp_path / "b0.safetensors", {"resolution": "32"})
    (tmp_path / "names.txt").write_text("a\nb\n")
    target = ("-o", tmp_path / "q.safetensors")
    words = ("--classes", tmp_path / "names.txt", "--data", photos)
    outcome = triovit("quantize", tmp_path / "b0.safetensors", *words, *target)
    assert outcome.status == 2
    assert "names.txt: must name the network's 7 outputs, one per line, not 2" in outcome.err.splitlines()[-1]
    assert "b1-r64 has a resolution of 64, not 32" in refused("quantize", "b1-r64", "--resolution", 32, *target)


def test_a_name_that_no_file_can_hold(triovit, photos, tmp_path):
    path = tmp_path / "no\u00a0break.safetensors"
    save_checkpoint(initialize(EfficientViT("b0", 7, 32), 1), path, {"resolution": "32"})
    outcome = triovit("quantize", path, "--data", photos, "-o", tmp_path / "q.safetensors")
    assert outcome.status == 2 and not (tmp_path / "q.safetensors").exists()
    *_, line = outcome.err.splitlines()
    assert line == "triovit quantize: error: name of the network must be printable text, not 'no\\xa0break'"


def test_bundled_network_keeps_its_classes(triovit, photos, tmp_path):
    target = tmp_path / "b0.safetensors"
    outcome = triovit("quantize", "bundled", "--data", photos, "--images", 2, "-o", target)
    assert outcome.status == 0
    assert load_network(target).classes == load_network(INTEGER_NETWORK).classes


def test_the_same_twice_and_another_with_another_seed(triovit, tmp_path):
    files = []
    for number, seed in enumerate((3, 3, 4)):
        files.append(tmp_path / f"{number}.safetensors")
        assert triovit("quantize", "b0-r32", "--seed", seed, "--images", 2, "-o", files[-1]).status == 0
    first, second, third = (file.read_bytes() for file in files)
    assert first == second != third


@pytest.mark.parametrize("method", METHODS)
def test_methods(triovit, tiny, tmp_path, method):
    target = tmp_path / "q.safetensors"
    outcome = triovit("quantize", tiny, "--images", 2, "--method", method, "--seed", 3, "-o", target)
    assert outcome.status == 0
    network = load_network(target)
    expected = method if method in ("m2", "p2", "m2+p2") else "trio"
    assert family(network) == outcome.report["family"] == expected
    assert f"family {expected}," in outcome.out
    assert network.metadata["method"] == method
    assert network.metadata["settings"] == dataclasses.replace(METHODS[method], seed=3).to_dict()
    assert "no --data: calibrating on 2 random images, seed 3" in outcome.err


def test_trio_is_the_default(triovit, tiny, tmp_path):
    target = tmp_path / "q.safetensors"
    assert triovit("quantize", tiny, "--images", 1, "-o", target).status == 0
    assert load_network(target).metadata["settings"] == METHODS["trio"].to_dict()


OPTIONS = {  # method, options, what they change
    "symmetric": ("trio", ["--symmetric", "--no-migration"], {"symmetric": True, "migration": False}),
    "affine": ("minmax", ["--no-symmetric", "--migration"], {"symmetric": False, "migration": True}),
    "percentile": (
        "trio",
        ["--observer", "percentile", "--percentile", "99.5"],
        {"observer": "percentile", "percentile": 99.5},
    ),
    "ema": ("trio", ["--observer", "ema", "--momentum", "0.5"], {"observer": "ema", "momentum": 0.5}),
    "lp": (
        "trio",
        ["--observer", "lp", "--norm", "2", "--weight-observer", "lp"],
        {"observer": "lp", "norm": 2.0, "weight_observer": "lp"},
    ),
    "shifting": (
        "trio",
        ["--shifting", "projection", "--no-head-scales"],
        {"shifting": "projection", "head_scales": False},
    ),
    "m2": (
        "m2",
        ["--depthwise-bits", "8", "--apot-share", "0.25", "--apot-exponent-bits", "2", "--no-attention-apot"],
        {"depthwise_bits": 8, "apot_share": 0.25, "apot_exponent_bits": 2, "attention_apot": False},
    ),
    "additive": ("trio", ["--apot-share", "0", "--attention-apot"], {"apot_share": 0.0, "attention_apot": True}),
    "p2": ("p2", ["--no-smoothing", "--exponents", "ceil"], {"smoothing": False, "exponents": "ceil"}),
    "smoothing": ("trio", ["--smoothing", "--smoothing-exponent", "1"], {"smoothing": True, "smoothing_exponent": 1.0}),
    "dyadic": ("p2", ["--scales", "dyadic", "--divisor-gain"], {"scales": "dyadic", "divisor_gain": True}),
    "divisor": (
        "trio",
        ["--divisor", "uniform", "--no-divisor-search", "--no-divisor-gain"],
        {"divisor": "uniform", "divisor_search": False, "divisor_gain": False},
    ),
    "search": ("minmax", ["--divisor-search", "--bias-correction"], {"divisor_search": True, "bias_correction": True}),
    "bias": ("trio", ["--no-bias-correction"], {"bias_correction": False}),
    "ranges": ("trio", ["--no-equalization", "--no-widening"], {"equalization": False, "widening": False}),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_single_settings_reach_the_network(triovit, tiny, tmp_path, name):
    method, options, changed = OPTIONS[name]
    target = tmp_path / "q.safetensors"
    assert triovit("quantize", tiny, "--images", 1, "--method", method, *options, "-o", target).status == 0
    metadata = load_network(target).metadata
    assert metadata["settings"] == METHODS[method].to_dict() | changed
    assert metadata["method"] == method


def test_every_setting_has_an_option_that_is_tried():
    """But for those that other options give, and reconstruction, which takes long."""
    tried = {field for _, _, changed in OPTIONS.values() for field in changed}
    assert {field.name for field in dataclasses.fields(Settings)} - tried == {"reconstruction", "batch", "seed"}


def test_reconstruction_reaches_the_quantizer(refused, tiny, monkeypatch, tmp_path):
    def quantize(*_arguments, settings, **_options):
        raise QuantizationError(f"would reconstruct: {settings.reconstruction}")

    monkeypatch.setattr("triovit.flow.quantize.quantize", quantize)
    monkeypatch.setattr("triovit.flow.quantize.say", lambda *_: None)
    error = refused("quantize", tiny, "--reconstruction", "fast", "-o", tmp_path / "q.safetensors")
    assert error == "would reconstruct: fast\n"


def test_help_lists_methods_and_settings(triovit):
    outcome = triovit("quantize", "--help", report=False)
    assert outcome.status == 0
    words = set(outcome.out.replace(",", " ").replace("[", " ").replace("]", " ").split())
    for method in METHODS:
        assert method in words
    for field in dataclasses.fields(Settings):
        if field.name != "batch":
            option = "--" + field.name.replace("_", "-")
            assert option in words
            assert (f"--no-{option[2:]}" in words) == (field.type == "bool")
    for name in ("--method", "--data", "--images", "--resolution", "--classes", "--output", "--json"):
        assert name in words


def test_a_folder_without_classes(triovit, tiny, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("b.png", "a.jpg", "c.png", "d.png"):
        Image.fromarray(rng.integers(0, 256, (50, 40, 3), dtype=np.uint8)).save(tmp_path / name)
    target = tmp_path / "out" / "q.safetensors"
    target.parent.mkdir()
    outcome = triovit("quantize", tiny, "--data", tmp_path, "--images", 3, "-o", target)
    assert outcome.status == 0
    network = load_network(target)
    assert network.classes == ()
    assert network.metadata["calibration_images"] == 3
    assert network.metadata["calibration_available"] == 4
    assert network.metadata["calibration_source"] == f"folder {tmp_path.name}"
    assert f"calibrating on 3 of 4 images of {tmp_path.name}" in outcome.err
    assert str(tmp_path) not in str(network.metadata)


@pytest.mark.parametrize(
    "options, message",
    [
        (["--method", "trio2"], "argument --method: invalid choice: 'trio2'"),
        (["--observer", "entropy"], "argument --observer: invalid choice: 'entropy'"),
        (["--depthwise-bits", "5"], "argument --depthwise-bits: invalid choice: 5"),
        (["--depthwise-bits", "four"], "argument --depthwise-bits: invalid int value: 'four'"),
        (["--apot-share", "half"], "argument --apot-share: invalid float value: 'half'"),
        (["--apot-share", "1.5"], "apot_share must be in 0..1, not 1.5"),
        (["--percentile", "99"], "percentile has no effect without observer percentile: set that too, or leave"),
        (["--percentile", "nan"], "percentile must be above 50 and at most 100, not nan"),
        (["--divisor", "uniform"], "divisor_search and divisor_gain belong to the log2 divisor, not to 'uniform'"),
        (["--scales", "power-of-two"], "divisor_gain needs scales 'dyadic', not 'power-of-two': a shift has no gain"),
        (["--images", "0"], "argument --images: must be a whole number in 1..10000000, not 0"),
        (["--data", "nowhere"], "nowhere"),
        (["--seed", "-1"], "argument --seed: must be a whole number in 0..4294967295, not -1"),
    ],
)
def test_wrong_arguments(refused, tiny, tmp_path, options, message):
    assert message in refused("quantize", tiny, *options, "-o", tmp_path / "q.safetensors")
    assert not list(tmp_path.glob("q*"))


def test_a_folder_without_images(refused, tiny, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "empty" in refused("quantize", tiny, "--data", tmp_path / "empty", "-o", tmp_path / "q.safetensors")


def test_a_network_that_cannot_be_quantized(triovit, monkeypatch, tmp_path):
    model = tiny_model()
    for parameter in model.parameters():
        parameter.data.mul_(1e-20)
    monkeypatch.setattr("triovit.flow.quantize.find_float", lambda *_: (model, Facts()))
    outcome = triovit("quantize", "b0-r32", "--images", 1, "--method", "p2", "-o", tmp_path / "q.safetensors")
    assert (outcome.status, outcome.report, outcome.out) == (2, None, "")
    error = outcome.err.splitlines()[1:]  # after the one about the images
    assert len(error) == 1
    assert error[0].startswith("triovit quantize: error: backbone.")
    assert "scales are too far apart" in error[0]
    assert not (tmp_path / "q.safetensors").exists()


def test_a_broken_network_leaves_the_old_file_alone(refused, tmp_path):
    state = load_file(FLOAT_NETWORK)
    name = next(name for name in state if name.endswith("running_var"))
    save_file(state | {name: -state[name]}, tmp_path / "negative.safetensors")
    target = tmp_path / "q.safetensors"
    target.write_text("the old one")
    refused("quantize", tmp_path / "negative.safetensors", "--resolution", 64, "--data", tmp_path, "-o", target)
    assert target.read_text() == "the old one"


def test_reconstruction_tells_what_it_did(triovit, tmp_path, monkeypatch):
    monkeypatch.setitem(presets.OPTIONS, "fast", dataclasses.replace(presets.OPTIONS["fast"], iterations=2, batch=2))
    target = tmp_path / "q.safetensors"
    outcome = triovit("quantize", "b0-r32", "--images", 4, "--reconstruction", "fast", "-o", target)
    assert outcome.status == 0, outcome.err
    units = load_network(target).metadata["reconstruction"]
    assert outcome.report["metadata"]["reconstruction"] == units and len(units) > 10
    names = short_names(unit["name"] for unit in units)
    for unit in units:
        assert f" {names[unit['name']]} " in outcome.out and unit["after"] <= unit["before"]
