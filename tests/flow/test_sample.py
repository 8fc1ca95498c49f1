"""--data sample, in the commands that take data."""

from triovit.golden.assets import ASSETS
from triovit.golden.integer.serialize import load_network


def test_commands(triovit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = triovit("quantize", "bundled", "--data", "sample", "--images", 20, "-o", "q.safetensors")
    assert outcome.status == 0 and "20 of 60 images of sample" in outcome.err
    assert load_network(tmp_path / "q.safetensors").metadata["calibration_source"] == "archive sample"
    outcome = triovit("run", "q.safetensors", "--backend", "golden", "--data", "sample", "--images", 20)
    assert outcome.status == 0 and outcome.report["accuracy"] > 80
    outcome = triovit("report", "quantization", "q.safetensors", "--data", "sample", "--images", 2, "-o", "r.html")
    assert outcome.status == 0


def test_the_card_says_what_is_measured(triovit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report = triovit("evaluate", "bundled", "--data", "sample").report
    card = " ".join((ASSETS / "README.md").read_text(encoding="utf-8").split())
    told = f"of the {report['images']} test pictures the bundled network gets {report['top1']['correct']} right"
    assert told in card
