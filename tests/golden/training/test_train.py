"""Runs on a few images: the same however often interrupted, learning, statistics, the file they write."""

import dataclasses
import json
import math

import pytest
import torch
from torch import nn

from triovit.golden.network import bundled
from triovit.golden.network.checkpoint import read_checkpoint
from triovit.golden.network.seeded import random_images
from triovit.golden.training.augment import network_input
from triovit.golden.training.recipe import Recipe, TrainingError
from triovit.golden.training.state import save_state
from triovit.golden.training.train import STATISTICS_BATCH, Training, accuracy, describe, plain_copy, save_weights

torch.set_num_threads(1)  # the networks are small, and tests run side by side

RECIPE = Recipe(resolution=32, epochs=3, batch=8, statistics_images=16, seed=5)
STEPS = 3  # an epoch: the last image of 25 fills no batch


class Stop(Exception):
    """Ends a run as a loss of power would."""


@pytest.fixture(scope="module")
def data():
    """25 images of three classes that differ in one colour."""
    images, labels = random_images(25, 32, 1), torch.arange(25) % 3
    for index, label in enumerate(labels):
        images[index, :, :, label] |= 192
    return images, labels


def start(data, recipe=RECIPE):
    return Training(recipe, *data, 3)


def finish(training, progress=lambda done, loss: None):
    losses = []
    while training.epoch < training.recipe.epochs:
        losses.append(training.run_epoch(progress))
    return losses


def assert_same(first, second):
    assert first.step == second.step and first.loss_sum == second.loss_sum
    for name, tensor in first.model.state_dict().items():
        assert torch.equal(tensor, second.model.state_dict()[name]), name
    one, two = first.optimizer.state_dict(), second.optimizer.state_dict()
    assert one["param_groups"] == two["param_groups"]
    for index, values in one["state"].items():
        assert all(torch.equal(value, two["state"][index][name]) for name, value in values.items())


@pytest.fixture(scope="module")
def whole(data):
    """An uninterrupted run and its losses."""
    training = start(data)
    return training, finish(training)


@pytest.mark.parametrize("stop", [2, 3, 4, 7])
def test_interrupted_run_ends_bit_for_bit_the_same(data, whole, tmp_path, stop):
    first = start(data)

    def interrupt(done, loss):
        if first.step == stop:
            first.save(tmp_path / "s")
        elif first.step == stop + 1:  # what was done after the last saving is lost
            raise Stop

    with pytest.raises(Stop):
        finish(first, interrupt)
    torch.manual_seed(stop)  # torch's own random numbers play no part
    second = start(data)
    second.restore(tmp_path / "s")
    assert (second.step, second.epoch) == (stop, stop // STEPS)
    losses = finish(second)
    assert_same(second, whole[0])
    assert losses == whole[1][stop // STEPS :]
    second.set_statistics()
    once = start(data)
    finish(once)
    once.set_statistics()
    assert_same(once, second)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"step": 10}, r"step must lie in 0\.\.9, not 10"),
        ({"step": -1}, r"step must lie in 0\.\.9, not -1"),
        ({"model": {}}, "is not of this network"),
        ({"optimizer": {}}, "is not of this network"),
        ({"optimizer": {"state": {}, "param_groups": [5]}}, "is not of this network"),
    ],
)
def test_refuses_states_that_do_not_fit(data, tmp_path, change, words):
    first = start(data)
    save_state(dataclasses.replace(first.state(), **change), tmp_path / "s")
    with pytest.raises(TrainingError, match=words) as caught:
        start(data).restore(tmp_path / "s")
    assert str(caught.value).startswith(f"{tmp_path / 's'}: ") and "\n" not in str(caught.value)


def test_a_state_of_other_classes_is_refused(data, tmp_path):
    start(data).save(tmp_path / "s")
    with pytest.raises(TrainingError, match=r"is not of this network .*; give another --state or --restart"):
        Training(RECIPE, *data, 4).restore(tmp_path / "s")


def test_runs_of_other_seeds_differ(data, whole):
    initial = start(data).model.state_dict()
    other = start(data, dataclasses.replace(RECIPE, seed=6))
    assert not torch.equal(
        initial["head.op_list.3.linear.weight"], other.model.state_dict()["head.op_list.3.linear.weight"]
    )
    assert finish(other) != whole[1]


def test_global_random_numbers_are_left_alone(data):
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    start(data).run_epoch()
    assert torch.equal(torch.rand(3), expected)


def test_learns(data):
    """Thirty epochs on three colours: nearly everything right, where chance gives a third."""
    recipe = dataclasses.replace(RECIPE, epochs=30, peak_rate=2e-3, cutout_share=0)
    training = start(data, recipe)
    losses = finish(training)
    training.set_statistics()
    with torch.inference_mode():
        right = (training.model(network_input(data[0], 32)).argmax(1) == data[1]).sum()
    assert losses[0] > 0.8 and losses[-1] < losses[0] / 2
    assert right >= 22


def test_first_step_against_its_definition(data):
    """Decoupled weight decay for filters, none for biases and normalizations; the rate of the schedule's start."""
    training = start(data)
    before = {name: value.detach().clone() for name, value in training.model.named_parameters()}
    with pytest.raises(Stop):
        training.run_epoch(lambda done, loss: (_ for _ in ()).throw(Stop))
    rate = RECIPE.rate(0, RECIPE.epochs * STEPS)
    gradients = torch.cat([p.grad.flatten() for p in training.model.parameters()])
    assert gradients.norm() <= RECIPE.clip * 1.001
    for name, value in training.model.named_parameters():
        decay = RECIPE.weight_decay if value.dim() > 1 else 0.0
        grad = value.grad
        expected = before[name] * (1 - rate * decay) - rate * grad / (grad.abs() + 1e-8)  # Adam's first step
        torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-7)


def test_progress_counts_steps_and_epochs(data):
    training, calls = start(data), []
    mean = training.run_epoch(lambda done, loss: calls.append((done, loss)))
    assert [done for done, _ in calls] == [1, 2, 3] == list(range(1, training.steps_per_epoch + 1))
    assert mean == pytest.approx(sum(loss for _, loss in calls) / 3)
    assert (training.epoch, training.step) == (1, 3) and 0 < training.seconds < 60


def test_statistics_are_means_over_plain_images(data):
    training = start(data)
    training.run_epoch()
    stem = training.model.backbone.input_stem.op_list[0]
    momentum = stem.norm.momentum
    training.set_statistics()
    chosen = torch.arange(16) * 25 // 16
    with torch.no_grad():
        maps = stem.conv(network_input(data[0][chosen], 32))
    torch.testing.assert_close(stem.norm.running_mean, maps.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(stem.norm.running_var, maps.var((0, 2, 3)), rtol=1e-4, atol=1e-5)
    assert stem.norm.momentum == momentum is not None and not training.model.training


def test_statistics_weigh_batches_alike():
    """Two whole batches: the mean of both, not a moving average; the odd image that is left over plays no part."""
    images = random_images(2 * STATISTICS_BATCH + 1, 32, 2)
    images[STATISTICS_BATCH : 2 * STATISTICS_BATCH] //= 4
    recipe = dataclasses.replace(RECIPE, statistics_images=1000)
    training = Training(recipe, images, torch.arange(len(images)) % 3, 3)
    training.set_statistics()
    stem = training.model.backbone.input_stem.op_list[0]
    with torch.no_grad():
        means = [stem.conv(network_input(part, 32)).mean((0, 2, 3)) for part in images.split(STATISTICS_BATCH)[:2]]
    torch.testing.assert_close(stem.norm.running_mean, sum(means) / 2, rtol=1e-4, atol=1e-5)
    assert all(norm.num_batches_tracked == 2 for norm in training.model.modules() if isinstance(norm, nn.BatchNorm2d))


def test_a_loss_that_is_no_number_ends_the_run(data):
    training = start(data)
    with torch.no_grad():
        training.model.head.op_list[3].linear.bias.fill_(math.nan)
    with pytest.raises(TrainingError, match=r"the loss became nan in epoch 1; use a smaller --rate"):
        training.run_epoch()
    assert training.step == 0


def test_refuses_bad_data(data):
    images, labels = data
    with pytest.raises(TrainingError, match="batch must be at most the number of training images 7, not 8"):
        Training(RECIPE, images[:7], labels[:7], 3)
    with pytest.raises(TrainingError, match=r"labels must lie in 0\.\.1, not 0\.\.2"):
        Training(RECIPE, images, labels, 2)
    with pytest.raises(TrainingError, match=r"labels must lie in 0\.\.2, not -1\.\.1"):
        Training(RECIPE, images, labels - 1, 3)
    assert Training(RECIPE, images[:8], labels[:8], 3).steps_per_epoch == 1


class Listed:
    """A data set from tensors."""

    def __init__(self, images, labels):
        self.images, self.labels, self.classes = images, labels.tolist(), ("red", "green", "blue")

    def __len__(self):
        return len(self.labels)

    def image(self, index, resolution, crop=0.95):
        assert resolution == 32
        return self.images[index]


def test_written_file_is_read_like_the_bundled_one(data, whole, tmp_path, monkeypatch):
    training, _ = whole
    model = plain_copy(training.model)
    path = tmp_path / "w.safetensors"
    dataset = Listed(*data)
    correct, seen = accuracy(model, dataset, lambda right, count: None)
    save_weights(model, path, RECIPE, dataset.classes, correct, seen, 25)
    assert [entry.name for entry in tmp_path.iterdir()] == ["w.safetensors"]
    shipped = read_checkpoint(bundled.FLOAT_NETWORK).metadata
    state, metadata = (found := read_checkpoint(path)).state, found.metadata
    assert set(shipped) <= set(metadata) and all(isinstance(json.loads(value), object) for value in metadata.values())
    assert all(torch.equal(tensor, training.model.state_dict()[name]) for name, tensor in state.items())
    monkeypatch.setattr(bundled, "FLOAT_NETWORK", path)
    loaded = bundled.load_bundled()
    assert (loaded.classes, loaded.resolution) == (dataset.classes, 32)
    assert loaded.mean == (0.485, 0.456, 0.406) and loaded.std == (0.229, 0.224, 0.225)
    with torch.inference_mode():
        logits = loaded.model(network_input(data[0], 32))
    assert seen == 25 and correct == int((logits.argmax(1) == data[1]).sum())
    assert loaded.accuracy == round(100 * correct / 25, 2)
    for words in (
        "on 25 CIFAR-10 images",
        "3 epochs",
        "batch 8",
        "AdamW 0.003",
        "20 % warm-up",
        "8x8 cut-out",
        "50 % of the images",
        "brightness 0.8-1.2",
        "seed 5",
        "re-estimated on 16 plain images",
    ):
        assert words in loaded.recipe


def test_default_recipe_is_the_documented_one():
    assert describe(Recipe(), 50_000) == (
        "trained from scratch on 50000 CIFAR-10 images: 60 epochs, batch 128, AdamW 0.003 one-cycle (20 % warm-up), "
        "weight decay 0.05, label smoothing 0.05, reflect-pad-4 crops, flips, one 8x8 cut-out in 50 % of the images, "
        "brightness 0.8-1.2, gradient norm 5, seed 0; batch-norm statistics re-estimated on 6400 plain images"
    )
