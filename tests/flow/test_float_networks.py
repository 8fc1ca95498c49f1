"""What a user says about a float network, what its file says, and what is assumed: told in one line, used by all."""

import numpy as np
import pytest
import torch
from PIL import Image

from triovit.flow.float_networks import Given, find_float
from triovit.golden.data.images import load_image
from triovit.golden.evaluation.predictors import FloatPredictor
from triovit.golden.identity import network_hash
from triovit.golden.integer.execute import execute, pixels_to_input
from triovit.golden.integer.serialize import load_network, save_network
from triovit.golden.network.checkpoint import save_checkpoint
from triovit.golden.network.efficientvit.model import EfficientViT
from triovit.golden.network.seeded import initialize

ASSUMED = (
    "assumed: resolution 224, mean 0.485,0.456,0.406, std 0.229,0.224,0.225, crop 0.95 "
    "(--resolution, --mean, --std, --crop if not so)"
)


@pytest.fixture(scope="module")
def models():
    """Raw and averaged weights of one network of three classes at 96 x 96, where images are cropped."""
    return [initialize(EfficientViT("b0", 3, 96), seed) for seed in (1, 2)]


@pytest.fixture
def two(models, tmp_path):
    """A file with two sets of weights."""
    raw, averaged = (model.state_dict() for model in models)
    torch.save(
        {"state_dict": raw, "state_dict_ema": {f"module.{k}": v for k, v in averaged.items()}}, tmp_path / "n.pth"
    )
    return tmp_path / "n.pth"


@pytest.fixture
def images(tmp_path):
    """Labelled images of three classes, with borders of another colour that a crop cuts off."""
    folder, rng = tmp_path / "images", np.random.default_rng(0)
    for name in ("a/0.png", "b/1.png", "c/2.png"):
        pixels = rng.integers(0, 256, (200, 120, 3), dtype=np.uint8)
        pixels[:, :6] = pixels[:, -6:] = 255
        (folder / name).parent.mkdir(parents=True)
        Image.fromarray(pixels).save(folder / name)
    return folder


def told(outcome, name):
    """The line about the network."""
    (line,) = (line for line in outcome.err.splitlines() if line.startswith(f"{name}: EfficientViT"))
    return line


def test_all_commands_refuse_two_sets_and_take_one(triovit, models, two, images, tmp_path):
    quantized, target = tmp_path / "q.safetensors", ("-o", tmp_path / "o")
    facts = ("--resolution", 96, "--mean", "0.5,0.5,0.5", "--std", "0.25,0.25,0.25", "--crop", 1)
    commands = {
        "quantize": (two, "--data", images, "-o", quantized, *facts),
        "run": (two, "--backend", "float", "--image", images / "a/0.png", *facts),
        "evaluate": (two, "--backend", "float", "--data", images, "--journal", tmp_path / "j", *facts),
        "ablate": (two, "--calibration", images, "--data", images, "--variants", "minmax", *target, *facts),
        "report": ("quantization", quantized, "--model", two, "--data", images, *target),
    }
    for command, words in commands.items():
        outcome = triovit(command, *words)
        assert outcome.status == 2 and outcome.out == "", command
        *_, line = outcome.err.splitlines()
        assert "holds 2 sets of weights, state_dict (197 tensors), state_dict_ema (197 tensors)" in line
        assert line.endswith("such as --weights state_dict_ema")
        outcome = triovit(command, *words, "--weights", "state_dict_ema")
        assert outcome.status == 0, outcome.err
        line = told(outcome, two)
        assert (
            ": EfficientViT-b0, 3 outputs, weights 'state_dict_ema', names without 'module.', not used: state_dict; "
            in line
        )
        source = f"of {quantized}" if command == "report" else "given"
        assert line.endswith(f"{source}: resolution 96, mean 0.5,0.5,0.5, std 0.25,0.25,0.25, crop 1")
        (tmp_path / "o").unlink(missing_ok=True)
    metadata = load_network(quantized).metadata
    assert metadata["model_hash"] == network_hash(models[1])
    assert (metadata["resolution"], metadata["crop"]) == (96, 1.0)
    assert (metadata["mean"], metadata["std"]) == ([0.5] * 3, [0.25] * 3)


def test_the_other_set_than_was_quantized_is_refused_by_the_report(triovit, two, images, tmp_path):
    quantized = tmp_path / "q.safetensors"
    words = ("--weights", "state_dict_ema", "--resolution", 96)
    assert triovit("quantize", two, "--data", images, "-o", quantized, *words).status == 0
    words = ("--data", images, "-o", tmp_path / "r.html")
    outcome = triovit("report", "quantization", quantized, "--model", two, "--weights", "state_dict", *words)
    assert outcome.status == 2 and outcome.err.endswith("the one that became n: other weights\n")
    assert not (tmp_path / "r.html").exists()


def test_one_line_tells_what_is_from_where(models, tmp_path, capsys):
    torch.save(models[0].state_dict(), tmp_path / "plain.pt")
    find_float(str(tmp_path / "plain.pt"))
    assert capsys.readouterr().err == f"{tmp_path}/plain.pt: EfficientViT-b0, 3 outputs; {ASSUMED}\n"
    metadata = {"resolution": "96", "std": "[1, 2, 3]", "crop": "0.875"}
    save_checkpoint(models[0], tmp_path / "b.safetensors", metadata)
    model, facts = find_float(str(tmp_path / "b.safetensors"), Given(crop=1.0))
    assert capsys.readouterr().err.removeprefix(str(tmp_path)) == (
        "/b.safetensors: EfficientViT-b0, 3 outputs; from its file: resolution 96, std 1,2,3; given: crop 1; "
        "assumed: mean 0.485,0.456,0.406 (--mean if not so)\n"
    )
    assert (model.resolution, facts.resolution, facts.std, facts.crop) == (96, 96, (1, 2, 3), 1.0)
    save_checkpoint(models[0], tmp_path / "b.safetensors", metadata | {"mean": "[0, 0, 0]"})
    for name in ("b0-r32", "bundled", str(tmp_path / "b.safetensors")):
        find_float(name)
        assert capsys.readouterr().err == ""  # the name, or the file, says it all


def test_every_reader_of_images_crops_alike(triovit, models, images, tmp_path):
    """Float and integer logits of a command are those of images that are cropped as was asked for."""
    save_checkpoint(models[0], tmp_path / "b.safetensors", {"resolution": "96", "crop": "1"})
    photo, quantized = images / "a/0.png", tmp_path / "q.safetensors"
    whole, cut = (load_image(photo, 96, crop) for crop in (1, 0.6))
    assert not np.array_equal(whole, cut)
    for words, pixels in (((), whole), (("--crop", "0.6"), cut)):
        expected = FloatPredictor(models[0]).logits(pixels[None])[0]
        outcome = triovit("run", tmp_path / "b.safetensors", "--backend", "float", "--image", photo, *words)
        assert np.allclose(outcome.report["images"][0]["logits"], expected)
        assert triovit("quantize", tmp_path / "b.safetensors", "--data", images, "-o", quantized, *words).status == 0
        network = load_network(quantized)
        expected = execute(network, pixels_to_input(pixels))[network.output].reshape(-1)
        outcome = triovit("run", quantized, "--backend", "golden", "--image", photo)
        assert outcome.report["images"][0]["logits"] == expected.tolist()
        outcome = triovit("run", quantized, "--backend", "golden", "--data", images)
        assert outcome.report["images"][0]["logits"] == expected.tolist()
        right = sum(image["class"] == "abc"[k] for k, image in enumerate(outcome.report["images"]))
        outcome = triovit("evaluate", quantized, "--data", images, "--journal", tmp_path / f"{len(words)}.jsonl")
        assert outcome.report["top1"]["correct"] == right


def test_networks_without_a_crop_mean_095(models, images, triovit, tmp_path):
    save_checkpoint(models[0], tmp_path / "b.safetensors", {"resolution": "96"})
    quantized = tmp_path / "q.safetensors"
    assert triovit("quantize", tmp_path / "b.safetensors", "--data", images, "-o", quantized).status == 0
    network = load_network(quantized)
    assert network.metadata["crop"] == 0.95
    del network.metadata["crop"]
    save_network(network, quantized)
    photo = images / "a/0.png"
    expected = execute(network, pixels_to_input(load_image(photo, 96, 0.95)))[network.output].reshape(-1)
    outcome = triovit("run", quantized, "--backend", "golden", "--image", photo)
    assert outcome.report["images"][0]["logits"] == expected.tolist()


@pytest.mark.parametrize("command", [("run", "--backend", "golden"), ("run",), ("evaluate", "--data", "x")])
@pytest.mark.parametrize(
    "option",
    [("--weights", "ema"), ("--resolution", 64), ("--mean", "0,0,0"), ("--std", "1,1,1"), ("--crop", "0.9")],
)
def test_a_quantized_network_has_its_own(refused, command, option):
    assert refused(command[0], *command[1:], *option) == (
        f"{option[0]} goes with --backend float; a quantized network has its own\n"
    )


@pytest.mark.parametrize(
    ("option", "value", "rule"),
    [
        ("--mean", "0.5", "must be three numbers in -10..10, not 0.5"),
        ("--mean", "123.675,116.28,103.53", "must be three numbers in -10..10, not 123.675,116.28,103.53"),
        ("--mean", "a,b,c", "must be three numbers in -10..10, not a,b,c"),
        ("--std", "0.5,0.5,0", "must be three numbers in 1e-06..1e+06, not 0.5,0.5,0"),
        ("--std", "nan,1,1", "must be three numbers in 1e-06..1e+06, not nan,1,1"),
        ("--crop", "0", "must be a number in 0.1..1, not 0"),
        ("--crop", "95", "must be a number in 0.1..1, not 95"),
        ("--crop", "nan", "must be a number in 0.1..1, not nan"),
        ("--crop", "0.9,0.9,0.9", "must be a number in 0.1..1, not 0.9,0.9,0.9"),
        ("--crop", "x", "must be a number in 0.1..1, not x"),
    ],
)
def test_values_that_break_a_rule(refused, option, value, rule):
    assert f"argument {option}: {rule}" in refused("run", "bundled", "--backend", "float", f"{option}={value}")


def test_names_of_weights_need_a_file(refused):
    assert refused("run", "b0-r32", "--backend", "float", "--weights", "ema") == (
        "--weights goes with a checkpoint; b0-r32 has seeded random weights\n"
    )
    assert "holds no weights called 'ema', but ." in refused("run", "--backend", "float", "--weights", "ema")
    assert refused("report", "quantization", "q.safetensors", "-o", "r.html", "--weights", "ema").count("\n") == 1


@pytest.mark.parametrize("name", ["bundled", "checkpoint"])
def test_trained_networks_are_not_quantized_on_random_images(refused, models, tmp_path, name):
    if name == "checkpoint":
        name = tmp_path / "b0-r32"  # a file is a file, whatever its name
        torch.save(models[0].state_dict(), name)
    text = refused("quantize", name, "-o", tmp_path / "q.safetensors")
    assert text.startswith(f"{name}: a trained network needs calibration images") and "--data PATH" in text
    assert not (tmp_path / "q.safetensors").exists()


def test_the_metadata_tells_what_it_was_computed_with(triovit, tmp_path):
    assert triovit("quantize", "b0-r32", "--images", 1, "-o", tmp_path / "q.safetensors").status == 0
    found = load_network(tmp_path / "q.safetensors").metadata["computed_with"]
    assert found == {
        "torch": torch.__version__,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
    }
