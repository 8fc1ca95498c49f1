"""The command, on an archive of a few images."""

import json
import os

import pytest
import torch

from tests.golden.training.archive import CLASSES, write_archive
from triovit.flow import train as command
from triovit.flow.train import main, minutes
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
    assert main([str(archive), "-o", str(folder / "w.safetensors"), *SHORT]) == 0
    return folder


def weights(folder):
    return read_checkpoint(folder / "w.safetensors")[0]


def same(first, second):
    return all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_run_writes_weights_log_and_state(archive, trained):
    assert {path.name for path in trained.iterdir()} == {"w.safetensors", "w.state", "w.log"}
    facts = {name: json.loads(value) for name, value in read_checkpoint(trained / "w.safetensors")[1].items()}
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
def test_interrupted_run_goes_on(archive, trained, tmp_path, monkeypatch, capsys, within):
    """Saved after an epoch, or also after every step: the same weights."""
    arguments = [str(archive), "-o", str(tmp_path / "w.safetensors"), *SHORT]
    monkeypatch.setattr(command, "SAVE_SECONDS", -1 if within else 1000)
    interrupt_after(monkeypatch, 1)
    assert main(arguments) == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert not (tmp_path / "w.safetensors").exists()
    monkeypatch.undo()
    assert main(arguments) == 0
    assert f"going on after step {4 if within else 3} of 6" in capsys.readouterr().out
    assert same(weights(tmp_path), weights(trained))


def test_done_run_is_not_repeated_and_restart_repeats_it(archive, trained, tmp_path, capsys):
    state = tmp_path / "kept"
    state.write_bytes((trained / "w.state").read_bytes())
    arguments = [str(archive), "-o", str(tmp_path / "w.safetensors"), "--state", str(state), *SHORT]
    assert main(arguments) == 0
    assert "epoch" not in capsys.readouterr().out
    assert same(weights(tmp_path), weights(trained))
    assert main([*arguments, "--restart"]) == 0
    assert "epoch 1/2" in capsys.readouterr().out
    assert same(weights(tmp_path), weights(trained))
    assert main([*arguments, "--seed", "1"]) == 2
    assert "is of a run with seed 0, not 1" in capsys.readouterr().err
    assert main([*arguments, "--seed", "1", "--restart"]) == 0
    assert not same(weights(tmp_path), weights(trained))


def test_limit(archive, tmp_path, capsys):
    assert (
        main(
            [
                str(archive),
                "-o",
                str(tmp_path / "w.safetensors"),
                "--limit",
                "8",
                "--log",
                str(tmp_path / "l"),
                "--epochs",
                "1",
                "--batch",
                "8",
                "--threads",
                "1",
            ]
        )
        == 0
    )
    out = capsys.readouterr().out
    assert "decoding 8 training images" in out and "training: 1 epochs" in out and "of 8 test images" in out
    assert len((tmp_path / "l").read_text().splitlines()) == len(out.splitlines())
    assert "on 8 CIFAR-10 images" in json.loads(read_checkpoint(tmp_path / "w.safetensors")[1]["recipe"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["-o", "w.pt"], "must end in .safetensors, not 'w.pt'"),
        (["-o", "none/w.safetensors"], "output: there is no folder none"),
        (["--state", "none/s"], "state: there is no folder none"),
        (["--log", "."], "log: . is a folder"),
        (["--log", "w.state"], "output, state and log must be three files"),
        (["--threads", "0"], "threads must lie in 1..1024, not 0"),
        (["--threads", "99999999999"], "threads must lie in 1..1024, not 99999999999"),
        (["--limit", "0"], "limit must be at least 1, not 0"),
        (["--epochs", "0"], "epochs must be at least 1, not 0"),
        (["--rate", "-1"], "peak_rate must be above 0"),
        (["--batch", "13"], "batch must be at most the number of training images 12, not 13"),
    ],
)
def test_errors_are_one_line(archive, tmp_path, monkeypatch, capsys, changes, words):
    monkeypatch.chdir(tmp_path)
    assert main([str(archive), "-o", "w.safetensors", *changes]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1 and words in err
    assert not (tmp_path / "w.safetensors").exists()


def test_a_large_batch_is_found_before_decoding(archive, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "decode", None)
    assert main([str(archive), "-o", str(tmp_path / "w.safetensors"), "--batch", "13"]) == 2
    assert capsys.readouterr().out == ""


def test_missing_archive(tmp_path, capsys):
    assert main([str(tmp_path / "none.npz"), "-o", str(tmp_path / "w.safetensors")]) == 2
    assert "none.npz: no such archive" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_folder_without_permission(archive, tmp_path, capsys):
    tmp_path.chmod(0o500)
    assert main([str(archive), "-o", str(tmp_path / "w.safetensors")]) == 2
    assert "may not be written" in capsys.readouterr().err


def test_help_teaches(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    out = capsys.readouterr().out
    assert end.value.code == 0
    for words in ("goes on when the same command is given again", "examples:", "--limit 2000", "(default: 60)"):
        assert words in out


def test_progress_line_on_a_terminal_only(archive, tmp_path, monkeypatch, capsys):
    arguments = [str(archive), "-o", str(tmp_path / "w.safetensors"), "--epochs", "1", "--batch", "4"]
    assert main(arguments) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(command.sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(command, "REPORT_SECONDS", -1)
    assert main([*arguments, "--restart"]) == 0
    err = capsys.readouterr().err
    assert "decoding 12/12" in err and "epoch 1/1  step 2/3  loss " in err and "of 10 right" in err


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (89, "89 s"), (90, "2 min"), (3540, "59 min"), (3599, "1 h 00 min"), (3900, "1 h 05 min")],
)
def test_minutes(seconds, text):
    assert minutes(seconds) == text
