"""A training run: epochs, batch-norm statistics, accuracy, weights file."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from triovit.golden.data.folders import Dataset
from triovit.golden.data.images import CROP, IMAGENET_MEAN, IMAGENET_STD
from triovit.golden.evaluation.evaluate import evaluate
from triovit.golden.evaluation.predictors import FloatPredictor
from triovit.golden.messages import first_line
from triovit.golden.network.architectures import build
from triovit.golden.network.checkpoint import save_checkpoint
from triovit.golden.network.classifier import Classifier
from triovit.golden.training.augment import augment, network_input
from triovit.golden.training.images import AUGMENTATION, SIDE, epoch_order, random_numbers
from triovit.golden.training.recipe import Recipe, TrainingError
from triovit.golden.training.state import TrainingState, fingerprint, load_state, save_state

STATISTICS_BATCH = 128
EVALUATION_BATCH = 250


class Training:
    """A run of `recipe` on decoded images (`golden.training.images.decode`).

    n_classes: outputs of the network. Raises TrainingError for fewer images than a batch and for labels outside
    0..n_classes - 1. The same recipe and images on the same machine with the same number of threads give the same
    weights, bit for bit, however often the run is interrupted and gone on with.
    """

    def __init__(self, recipe: Recipe, images: torch.Tensor, labels: torch.Tensor, n_classes: int):
        self.steps_per_epoch = recipe.steps_per_epoch(len(images))
        if int(labels.min()) < 0 or int(labels.max()) >= n_classes:
            raise TrainingError(f"labels must lie in 0..{n_classes - 1}, not {int(labels.min())}..{int(labels.max())}")
        self.recipe, self.images, self.labels = recipe, images, labels
        self.fingerprint = fingerprint(images, labels)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            model = build(recipe.preset, n_classes, recipe.resolution)
        # 1.4 times as fast as channels first. (PyTorch's annotations of `to` lack its memory format.)
        self.model = model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.optimizer = _optimizer(self.model, recipe)
        self.step = 0
        self.loss_sum = 0.0  # of this epoch's steps, also when it is done
        self.seconds = 0.0

    @property
    def epoch(self) -> int:
        """Whole epochs done."""
        return self.step // self.steps_per_epoch

    def run_epoch(self, progress: Callable[[int, float], None] = lambda done, loss: None) -> float:
        """The steps that are left of this epoch; returns the whole epoch's mean loss.

        progress: called after every step with the steps done of this epoch and the last one's loss; it may `save`.
        Raises TrainingError if the loss is no longer finite.
        """
        epoch, first = self.epoch, self.step % self.steps_per_epoch
        order = epoch_order(len(self.images), self.recipe.seed, epoch)
        if first == 0:
            self.loss_sum = 0.0
        self.model.train()
        for number in range(first, self.steps_per_epoch):
            start = time.monotonic()
            chosen = order[number * self.recipe.batch : (number + 1) * self.recipe.batch]
            loss = self._step(self.images[chosen], self.labels[chosen])
            if not loss < float("inf"):
                raise TrainingError(f"the loss became {loss} in epoch {epoch + 1}; use a smaller --rate")
            self.step += 1
            self.loss_sum += loss
            self.seconds += time.monotonic() - start
            progress(number + 1, loss)
        return self.loss_sum / self.steps_per_epoch

    def set_statistics(self) -> None:
        """Replace the running batch-norm statistics, which come from augmented images and older weights.

        They become the means over batches of plain, evenly spaced training images, at most `statistics_images`.
        """
        norms = [module for module in self.model.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm in norms:
            norm.reset_running_stats()
        kept = [norm.momentum for norm in norms]
        count = min(self.recipe.statistics_images, len(self.images))
        chosen = torch.arange(count) * len(self.images) // count
        self.model.train()
        try:
            for norm in norms:
                norm.momentum = None  # plain mean over all batches
            with torch.no_grad():
                for part in chosen.split(STATISTICS_BATCH):
                    if len(part) > 1:  # the last maps may be 1 x 1: a single one has no variance
                        self.model(network_input(self.images[part], self.recipe.resolution))
        finally:
            for norm, momentum in zip(norms, kept, strict=True):
                norm.momentum = momentum
        self.model.eval()

    def state(self) -> TrainingState:
        """What `restore` needs to go on from here."""
        return TrainingState(
            self.recipe,
            self.fingerprint,
            self.step,
            self.loss_sum,
            self.model.state_dict(),
            self.optimizer.state_dict(),
            self.seconds,
        )

    def save(self, path: Path) -> None:
        save_state(self.state(), path)

    def restore(self, path: Path) -> None:
        """Go on from the state at `path`; raises TrainingError if it is damaged or of another run.

        What was loaded of a damaged state stays: the run is then of no more use.
        """
        state, steps = load_state(path, self.recipe, self.fingerprint), self.recipe.epochs * self.steps_per_epoch
        if not 0 <= state.step <= steps:
            raise TrainingError(f"{path}: step must lie in 0..{steps}, not {state.step}")
        try:
            self.model.load_state_dict(state.model)
            self.optimizer.load_state_dict(state.optimizer)
        except Exception as error:  # torch has no common one for what a strange dictionary can raise
            raise TrainingError(
                f"{path}: is not of this network ({first_line(error)}); give another --state or --restart"
            ) from None
        self.step, self.loss_sum, self.seconds = state.step, state.loss_sum, state.seconds

    def _step(self, images, labels):
        recipe = self.recipe
        rate = recipe.rate(self.step, recipe.epochs * self.steps_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        images = augment(images, recipe, random_numbers(recipe.seed, AUGMENTATION, self.step))
        logits = self.model(network_input(images, recipe.resolution))
        loss = cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), recipe.clip)
        self.optimizer.step()
        return loss.item()


def accuracy(model: Classifier, dataset: Dataset, progress: Callable[[int, int], None]) -> tuple[int, int]:
    """(correct, seen) of a network in evaluation mode; progress: called with both after every batch."""
    share = evaluate(
        FloatPredictor(model),
        dataset,
        batch=EVALUATION_BATCH,
        progress=lambda right, seen, total: progress(right, seen),
    ).accuracy()
    return share.correct, share.images


def plain_copy(model: Classifier) -> Classifier:
    """The same network with weights in torch's ordinary memory format, as it will be read from a file."""
    copy = build(model.preset.name, model.n_classes, model.resolution)
    copy.load_state_dict(model.state_dict())
    return copy.eval()


def describe(recipe: Recipe, count: int) -> str:
    """One sentence about a run on `count` images, for the weights file."""
    return (
        f"trained from scratch on {count} CIFAR-10 images: {recipe.epochs} epochs, batch {recipe.batch}, "
        f"AdamW {recipe.peak_rate:g} one-cycle ({100 * recipe.warm_up:g} % warm-up), weight decay "
        f"{recipe.weight_decay:g}, label smoothing {recipe.label_smoothing:g}, reflect-pad-{recipe.padding} crops, "
        f"flips, one {recipe.cutout}x{recipe.cutout} cut-out in {100 * recipe.cutout_share:g} % of the images, "
        f"brightness {1 - recipe.brightness:g}-{1 + recipe.brightness:g}, gradient norm {recipe.clip:g}, "
        f"seed {recipe.seed}; batch-norm statistics re-estimated on {min(recipe.statistics_images, count)} "
        "plain images"
    )


def save_weights(model: Classifier, path: Path, recipe: Recipe, classes, correct: int, seen: int, count: int) -> None:
    """Write the weights file, with the metadata that `golden.network.bundled` reads, each a JSON string.

    correct, seen: of the test images. count: number of training images.
    """
    facts = {
        "preset": recipe.preset,
        "classes": list(classes),
        "resolution": recipe.resolution,
        "mean": list(IMAGENET_MEAN),
        "std": list(IMAGENET_STD),
        "crop": CROP,
        "accuracy": round(100 * correct / seen, 2),
        "test_images": seen,
        "recipe": describe(recipe, count),
        "dataset": f"CIFAR-10, lossy JPEG copies of the {SIDE}x{SIDE} images",
        "preprocessing": f"bicubic {SIDE}x{SIDE} to {recipe.resolution}x{recipe.resolution}, rounded to 8 bits",
    }
    save_checkpoint(model, path, {name: json.dumps(value) for name, value in facts.items()})


def _optimizer(model, recipe):
    """AdamW; weight decay for matrices and filters only."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.peak_rate, fused=True)
