"""triovit report."""

import json

import pytest

from triovit.golden.assets import INTEGER_NETWORK
from triovit.golden.integer.serialize import load_network, save_network
from triovit.golden.network.checkpoint import save_checkpoint
from triovit.golden.network.efficientvit.model import EfficientViT
from triovit.golden.network.seeded import initialize
from triovit.golden.quantization.calibration.images import random_images
from triovit.golden.quantization.quantize import quantize

EVALUATED = {
    "network": "somewhere/b0.safetensors",
    "backend": "golden",
    "data": "somewhere/photos",
    "images": 40,
    "top1": {"correct": 30, "percent": 75.0, "standard_error": 6.85},
    "top5": {"correct": 38, "percent": 95.0},
    "classes": list("abcdefg"),
}


@pytest.fixture(scope="module")
def quantized(tmp_path_factory):
    """Folder with b0.pt-like weights and the network quantized from them."""
    folder = tmp_path_factory.mktemp("quantized")
    model = initialize(EfficientViT("b0", 7, 32), 1)
    save_checkpoint(model, folder / "float.safetensors")
    save_network(quantize(model, random_images(5, 4, 32), name="seeded"), folder / "b0.safetensors")
    return folder


def test_everything(triovit, quantized, photos, tmp_path):
    evaluated, target = tmp_path / "evaluated.json", tmp_path / "report.html"
    evaluated.write_text(json.dumps(EVALUATED))
    network, model = quantized / "b0.safetensors", quantized / "float.safetensors"
    outcome = triovit(
        "report",
        "quantization",
        network,
        "--model",
        model,
        "--data",
        photos,
        "--images",
        3,
        "--accuracy",
        evaluated,
        "-o",
        target,
    )
    assert outcome.status == 0, outcome.err
    document = target.read_text(encoding="utf-8")
    assert outcome.out == f"wrote {target} ({target.stat().st_size:,} bytes)\n"
    assert outcome.err == ""  # nothing is missing
    assert outcome.report["lacking"] == {} and outcome.report["images"] == 3
    for error in outcome.report["errors"]:
        assert f"{error['sqnr']:.1f}</td>" in document
    assert outcome.report["sha256"] in document
    assert "b0.safetensors (golden)" in document and "somewhere" not in document
    assert all(f">{number}</td>" in document for number in ("75.00", "6.85", "95.00"))
    assert str(tmp_path) not in document and not list(tmp_path.glob("*.partial"))


def test_bundled_brings_its_float_network(triovit, photos, tmp_path):
    target = tmp_path / "report.html"
    outcome = triovit("report", "quantization", "bundled", "--data", photos, "--images", 1, "-o", target)
    assert outcome.status == 0
    assert "float network</td>" in target.read_text(encoding="utf-8")
    assert not any("--model" in text for texts in outcome.report["lacking"].values() for text in texts)


def test_seeded_float_network(triovit, refused, tmp_path):
    path, target = tmp_path / "seeded.safetensors", tmp_path / "report.html"
    assert triovit("quantize", "b0-r32", "--seed", 3, "--images", 1, "-o", path).status == 0
    words = ("report", "quantization", path, "--model", "b0-r32", "-o", target)
    assert "other weights" in refused(*words)
    outcome = triovit(*words, "--seed", 3)
    assert outcome.status == 0
    assert not any("--model" in text for texts in outcome.report["lacking"].values() for text in texts)


def test_weights_need_nothing_else(triovit, quantized, tmp_path):
    target = tmp_path / "report.html"
    outcome = triovit("report", "quantization", quantized / "b0.safetensors", "-o", target)
    assert outcome.status == 0
    assert set(outcome.report["lacking"]) == {"sqnr", "ranges", "divisors", "saturation"}
    assert "want of: images to run" in outcome.err and "want of: the float network" in outcome.err
    assert outcome.err.count("\n") == 2


def test_what_is_no_network(refused, quantized, photos, tmp_path):
    target = tmp_path / "report.html"
    text = tmp_path / "text.safetensors"
    text.write_text("hello")
    assert "no quantized network 'nowhere'" in refused("report", "quantization", "nowhere", "-o", target)
    assert "no quantized network 'b0-r32'" in refused("report", "quantization", "b0-r32", "-o", target)
    assert str(text) in refused("report", "quantization", text, "-o", target)
    checkpoint = quantized / "float.safetensors"
    assert "float checkpoint, not a quantized network" in refused("report", "quantization", checkpoint, "-o", target)
    words = ("report", "quantization", quantized / "b0.safetensors", "-o", target)
    message = refused(*words, "--model", "bundled")
    assert "b0.safetensors: the float network is not the one" in message
    save_checkpoint(initialize(EfficientViT("b0", 7, 32), 2), tmp_path / "other.safetensors")
    assert refused(*words, "--model", tmp_path / "other.safetensors").endswith("became seeded: other weights\n")
    assert "b0-r64 has a resolution of 64, not 32" in refused(*words, "--model", "b0-r64")
    assert not target.exists()


def test_wrong_arguments(refused, quantized, photos, tmp_path):
    network, target = quantized / "b0.safetensors", tmp_path / "report.html"
    command = ("report", "quantization", network, "-o")
    assert "there is no folder" in refused(*command, tmp_path / "nowhere" / "report.html")
    assert "is a folder" in refused(*command, tmp_path)
    assert "--images goes with --data" in refused(*command, target, "--images", 3)
    assert "no such folder" in refused(*command, target, "--data", tmp_path / "nowhere")
    for contents in (
        "",
        "[]",
        "{}",
        json.dumps(EVALUATED | {"images": 0}),
        json.dumps(EVALUATED | {"top1": 3}),
        json.dumps(EVALUATED | {"top5": {"percent": float("nan")}}),
    ):
        (tmp_path / "a.json").write_text(contents)
        message = refused(*command, target, "--accuracy", tmp_path / "a.json")
        assert f"--accuracy {tmp_path / 'a.json'}: must be a report of 'triovit evaluate --json FILE'" in message
    assert "nothing.json" in refused(*command, target, "--accuracy", tmp_path / "nothing.json")
    assert not target.exists()


def test_the_kind_of_report(refused, tmp_path):
    assert "invalid choice: 'something'" in refused("report", "something", INTEGER_NETWORK, "-o", tmp_path / "r.html")


def test_broken_encodings(refused, quantized, tmp_path):
    path = tmp_path / "broken.safetensors"
    save_network(load_network(quantized / "b0.safetensors").with_metadata(encodings={"x": 1}), path)
    message = refused("report", "quantization", path, "-o", tmp_path / "report.html")
    assert f"{path}: encodings of seeded: no tensor 'x'" in message
