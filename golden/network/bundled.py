"""The trained network that ships with the project: EfficientViT-B0 for CIFAR-10 at 64 x 64."""

from __future__ import annotations

import json
from dataclasses import dataclass

from triovit.golden.assets import FLOAT_NETWORK
from triovit.golden.network.architectures import build
from triovit.golden.network.checkpoint import CheckpointError, identify, load_state, read_checkpoint
from triovit.golden.network.classifier import Classifier


@dataclass(frozen=True)
class BundledModel:
    """A network and what its file says about it.

    model: in evaluation mode. classes: names in index order. resolution: input side in pixels.
    mean, std: input normalization per RGB channel. accuracy: float top-1 in percent. recipe: how it was trained.
    """

    model: Classifier
    classes: tuple[str, ...]
    resolution: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    accuracy: float
    recipe: str


def load_bundled() -> BundledModel:
    """Read the bundled network; raises CheckpointError if its file is missing or damaged, or lacks a fact."""
    checkpoint = read_checkpoint(FLOAT_NETWORK)
    state, metadata = checkpoint.state, checkpoint.metadata
    try:
        preset, n_classes = identify(state)
        facts = {
            "classes": _values(metadata, "classes", str, n_classes),
            "resolution": _value(metadata, "resolution", int),
            "mean": _values(metadata, "mean", float, 3),
            "std": _values(metadata, "std", float, 3),
            "accuracy": _value(metadata, "accuracy", float),
            "recipe": _value(metadata, "recipe", str),
        }
        model = build(preset, n_classes, facts["resolution"])
    except ValueError as error:  # CheckpointError is one
        raise CheckpointError(f"{FLOAT_NETWORK}: {error}") from None
    load_state(model, state, source=str(FLOAT_NETWORK))
    return BundledModel(model.eval(), **facts)


def _value(metadata, name, kind):
    try:
        value = json.loads(metadata[name])
    except (KeyError, ValueError):
        raise CheckpointError(f"{name} must be in its metadata, as JSON") from None
    if type(value) is not kind:
        raise CheckpointError(f"{name} must be of type {kind.__name__}, not {value!r}")
    return value


def _values(metadata, name, kind, count):
    values = _value(metadata, name, list)
    if len(values) != count or not all(type(value) is kind for value in values):
        raise CheckpointError(f"{name} must be {count} of type {kind.__name__}, not {values!r}")
    return tuple(values)
