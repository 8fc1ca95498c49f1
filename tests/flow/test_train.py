"""The command, on an archive of a few images."""

import json
import os
import re
from contextlib import contextmanager

import pytest
import torch

from tests.golden.training.archive import CLASSES, write_archive
from triovit.flow import train as command
from triovit.flow.cli import main
from triovit.flow.train import minutes
from triovit.golden.data.archives import CifarArchive
from triovit.golden.evaluation.evaluate import evaluate
from triovit.golden.evaluation.predictors import FloatPredictor
from triovit.golden.network.checkpoint import load_model, read_checkpoint
from triovit.golden.training.train import Training

SHORT = ["--epochs", "2", "--batch", "4", "--threads", "1"]


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return write_archive(tmp_path_factory.mktemp("data") / "a.npz", 12, 10)


@pytest.fixture(scope="module")
def trained(archive, tmp_path_factory):
    """Folder of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("trained")
    assert main(["train", str(archive), "-o", str(folder / "w.safetensors"), *SHORT]) == 0
    return folder


def weights(folder):
    return read_checkpoint(folder / "w.safetensors").state


def same(first, second):
    return all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_run_writes_weights_log_and_state(archive, trained):
    assert {path.name for path in trained.iterdir()} == {"w.safetensors", "w.state", "w.log"}
    facts = {name: json.loads(value) for name, value in read_checkpoint(trained / "w.safetensors").metadata.items()}
    assert facts["preset"] == "b0" and facts["classes"] == list(CLASSES) and facts["resolution"] == 64
    model = load_model(trained / "w.safetensors", 64)
    share = evaluate(FloatPredictor(model), CifarArchive(archive, "test")).accuracy()
    correct, seen = share.correct, share.images
    assert (facts["test_images"], facts["accuracy"]) == (10, 10 * correct) and seen == 10
    lines = (trained / "w.log").read_text().splitlines()
    assert len(lines) == 6
    assert "decoding 12 training images" in lines[0]
    assert "training: 2 epochs, batch 4, seed 0, 1 threads" in lines[1]
    for number in (1, 2):
        line = lines[number + 1]
        assert f"epoch {number}/2  loss " in line and "images/s" in line and line.endswith(" left")
    assert f"top-1 {10 * correct:.2f} % ({correct} of 10 test images)" in lines[4]
    assert "wrote w.safetensors" in lines[5]


def interrupt_after(monkeypatch, epochs):
    """The run is interrupted in the step after that many epochs."""
    original = Training.run_epoch

    def run_epoch(self, progress):
        def stopping(done, loss):
            progress(done, loss)
            raise KeyboardInterrupt

        return original(self, stopping if self.epoch == epochs else progress)

    monkeypatch.setattr(Training, "run_epoch", run_epoch)


@pytest.mark.parametrize("within", [False, True])
def test_interrupted_run_goes_on(triovit, archive, trained, tmp_path, monkeypatch, within):
    """Saved after an epoch, or also after every step: the same weights."""
    arguments = ["train", archive, "-o", tmp_path / "w.safetensors", *SHORT]
    monkeypatch.setattr(command, "SAVE_SECONDS", -1 if within else 1000)
    interrupt_after(monkeypatch, 1)
    outcome = triovit(*arguments)
    assert outcome.status == 130 and outcome.report is None
    assert outcome.err.endswith("interrupted; the same command goes on from the last saved state\n")
    assert not (tmp_path / "w.safetensors").exists()
    monkeypatch.undo()
    outcome = triovit(*arguments)
    assert outcome.status == 0 and f"going on after step {4 if within else 3} of 6" in outcome.err
    assert outcome.report["recipe"]["epochs"] == 2 and outcome.report["test_images"] == 10
    assert same(weights(tmp_path), weights(trained))


def test_done_run_is_not_repeated_and_restart_repeats_it(triovit, refused, archive, trained, tmp_path):
    state = tmp_path / "kept"
    state.write_bytes((trained / "w.state").read_bytes())
    arguments = ["train", archive, "-o", tmp_path / "w.safetensors", "--state", state, *SHORT]
    outcome = triovit(*arguments)
    assert outcome.status == 0 and "epoch" not in outcome.err
    assert same(weights(tmp_path), weights(trained))
    outcome = triovit(*arguments, "--restart")
    assert outcome.status == 0 and "epoch 1/2" in outcome.err
    assert same(weights(tmp_path), weights(trained))
    outcome = triovit(*arguments, "--seed", 1)
    assert outcome.status == 2 and "is of a run with seed 0, not 1" in outcome.err
    assert triovit(*arguments, "--seed", 1, "--restart").status == 0
    assert not same(weights(tmp_path), weights(trained))


def test_limit(triovit, archive, tmp_path):
    target, log = tmp_path / "w.safetensors", tmp_path / "l"
    short = ("--limit", 8, "--epochs", 1, "--batch", 8, "--threads", 1)
    outcome = triovit("train", archive, "-o", target, "--log", log, *short)
    assert outcome.status == 0
    assert "decoding 8 training images" in outcome.err and "training: 1 epochs" in outcome.err
    assert "of 8 test images" in outcome.out
    lines = outcome.err.splitlines() + outcome.out.splitlines()
    assert [line.split("  ", 1)[1] for line in log.read_text().splitlines()] == lines
    assert "on 8 CIFAR-10 images" in json.loads(read_checkpoint(target).metadata["recipe"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["-o", "w.pt"], "--output must end in .safetensors, not 'w.pt'"),
        (["-o", "none/w.safetensors"], "--output none/w.safetensors: there is no folder none"),
        (["--state", "none/s"], "--state none/s: there is no folder none"),
        (["--log", "."], "--log .: is a folder"),
        (["--log", "w.state"], "--output, --state and --log must be three files"),
        (["--threads", "0"], "--threads: must be a whole number in 1..1024, not 0"),
        (["--threads", "99999999999"], "--threads: must be a whole number in 1..1024, not 99999999999"),
        (["--limit", "0"], "--limit: must be a whole number in 1..10000000, not 0"),
        (["--epochs", "0"], "epochs must be at least 1, not 0"),
        (["--rate", "-1"], "peak_rate must be above 0"),
        (["--batch", "13"], "batch must be at most the number of training images 12, not 13"),
    ],
)
def test_errors_are_one_line(refused, archive, tmp_path, monkeypatch, changes, words):
    monkeypatch.chdir(tmp_path)
    assert words in refused("train", archive, "-o", "w.safetensors", *changes)
    assert not list(tmp_path.iterdir())


def test_a_large_batch_is_found_before_decoding(refused, archive, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "decode", None)
    text = refused("train", archive, "-o", tmp_path / "w.safetensors", "--batch", 13)
    assert text.startswith("batch must be at most the number of training images 12, not 13")


def test_missing_archive(refused, tmp_path):
    text = refused("train", tmp_path / "none.npz", "-o", tmp_path / "w.safetensors")
    assert "none.npz: no such archive" in text


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_folder_without_permission(refused, archive, tmp_path):
    tmp_path.chmod(0o500)
    assert "may not be written" in refused("train", archive, "-o", tmp_path / "w.safetensors")


def test_help_teaches(triovit):
    outcome = triovit("train", "--help", report=False)
    assert outcome.status == 0
    for words in ("goes on when the same command is given again", "--limit 2000", "(default: 60)"):
        assert words in outcome.out


def test_progress(triovit, archive, tmp_path, monkeypatch):
    """What a terminal shows; elsewhere there are only lines."""
    shown = []

    @contextmanager
    def steps(description):
        yield lambda label, done, total: shown.append(f"{label} {done}/{total}")

    arguments = ["train", archive, "-o", tmp_path / "w.safetensors", "--epochs", 1, "--batch", 4]
    assert len(triovit(*arguments).err.splitlines()) == 3
    monkeypatch.setattr(command, "steps", steps)
    assert triovit(*arguments, "--restart").status == 0
    assert "decoding 12/12" in shown
    assert any(text.startswith("epoch 1/1  loss ") and text.endswith(" 2/3") for text in shown)
    assert re.fullmatch(r"\d+ right 10/10", shown[-1])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (89, "89 s"), (90, "2 min"), (3540, "59 min"), (3599, "1 h 00 min"), (3900, "1 h 05 min")],
)
def test_minutes(seconds, text):
    assert minutes(seconds) == text
