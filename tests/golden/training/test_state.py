"""The state file: whole or not at all, tensors only, and of the same run."""

import dataclasses
import math
import pickle

import pytest
import torch

from triovit.golden.training import state as module
from triovit.golden.training.recipe import Recipe, TrainingError
from triovit.golden.training.state import TrainingState, fingerprint, load_state, save_state

RECIPE = Recipe(epochs=3)


def a_state(step=5):
    return TrainingState(
        RECIPE, "abc", step, 1.5, {"w": torch.arange(4.0)}, {"state": {0: {"step": torch.tensor(2.0)}}}, 7.5
    )


def test_round_trip(tmp_path):
    save_state(a_state(), tmp_path / "s")
    state = load_state(tmp_path / "s", RECIPE, "abc")
    assert (state.recipe, state.images, state.step, state.loss_sum, state.seconds) == (RECIPE, "abc", 5, 1.5, 7.5)
    assert torch.equal(state.model["w"], torch.arange(4.0))
    assert state.optimizer["state"][0]["step"] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_failed_writing_keeps_the_old_file(tmp_path, monkeypatch):
    save_state(a_state(5), tmp_path / "s")

    def half(path, data):
        path.write_text("half a file")
        raise OSError("no space left")

    monkeypatch.setattr(module.Path, "write_bytes", half)
    with pytest.raises(OSError, match="no space left"):
        save_state(a_state(6), tmp_path / "s")
    monkeypatch.undo()
    assert load_state(tmp_path / "s", RECIPE, "abc").step == 5
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def refusal(path, recipe=RECIPE, images="abc"):
    with pytest.raises(TrainingError) as caught:
        load_state(path, recipe, images)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(str(path))
    return str(caught.value)


@pytest.mark.parametrize("share", [0, 0.3, 0.9])
def test_refuses_part_of_a_file(tmp_path, share):
    save_state(a_state(), tmp_path / "s")
    content = (tmp_path / "s").read_bytes()
    (tmp_path / "s").write_bytes(content[: int(share * len(content))])
    assert "not a whole training state" in refusal(tmp_path / "s")


def test_refuses_a_missing_file(tmp_path):
    assert "not a whole training state" in refusal(tmp_path / "none")


class Executed:
    """Raises if it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("the file was executed",))


@pytest.mark.parametrize("write", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content, 2))])
def test_executes_nothing(tmp_path, write):
    write({"model": Executed()}, tmp_path / "s")
    assert "not a whole training state" in refusal(tmp_path / "s")


@pytest.mark.parametrize("change", [{"format": 0}, {"extra": 1}, {"step": None}])
def test_refuses_other_contents(tmp_path, change):
    save_state(a_state(), tmp_path / "s")
    content = torch.load(tmp_path / "s", weights_only=True) | change
    torch.save({name: value for name, value in content.items() if value is not None}, tmp_path / "s")
    assert "not a training state of format 1" in refusal(tmp_path / "s")
    torch.save([1], tmp_path / "s")
    assert "not a training state of format 1" in refusal(tmp_path / "s")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"recipe": 5}, "recipe must be of type dict, not 5"),
        ({"images": 7}, "images must be of type str"),
        ({"step": "x"}, "step must be of type int, not x"),
        ({"step": True}, "step must be of type int, not True"),
        ({"loss_sum": math.nan}, "loss_sum must be a finite float, not nan"),
        ({"seconds": math.inf}, "seconds must be a finite float, not inf"),
        ({"model": torch.zeros(2, 2)}, "model must be of type dict, not tensor("),
        ({"optimizer": []}, "optimizer must be of type dict"),
    ],
)
def test_refuses_values_of_another_type(tmp_path, change, words):
    save_state(a_state(), tmp_path / "s")
    torch.save(torch.load(tmp_path / "s", weights_only=True) | change, tmp_path / "s")
    assert words in refusal(tmp_path / "s")


@pytest.mark.parametrize("change", [{"epochs": 4}, {"seed": 1}, {"batch": 64}, {"clip": 1.0}])
def test_refuses_another_run(tmp_path, change):
    save_state(a_state(), tmp_path / "s")
    ((name, value),) = change.items()
    assert f"{name} {getattr(RECIPE, name)}, not {value}; give another --state or --restart" in refusal(
        tmp_path / "s", dataclasses.replace(RECIPE, **change)
    )
    assert "other training images" in refusal(tmp_path / "s", images="abd")


def test_fingerprint_depends_on_images_and_labels():
    images, labels = torch.zeros((2, 32, 32, 3), dtype=torch.uint8), torch.tensor([0, 1])
    other = images.clone()
    other[1, 31, 31, 2] = 1
    prints = {fingerprint(images, labels), fingerprint(other, labels), fingerprint(images, labels + 1)}
    assert len(prints) == 3 and all(len(text) == 64 for text in prints)
