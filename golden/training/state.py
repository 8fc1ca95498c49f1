"""The file from which an interrupted run goes on: tensors and plain values only, written whole or not at all."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import math
import pickle
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path

import torch

from triovit.golden.files import whole_file
from triovit.golden.training.recipe import Recipe, TrainingError

FORMAT = 1  # of the file; another number is refused
ENTRIES = {
    "format": int,
    "recipe": dict,
    "images": str,
    "step": int,
    "loss_sum": float,
    "model": dict,
    "optimizer": dict,
    "seconds": float,
}


@dataclass
class TrainingState:
    """A run between two steps.

    recipe: the run's. images: `fingerprint` of its training images. step: steps done; random numbers and the learning
    rate follow from it. loss_sum: of the steps done of the last epoch. model, optimizer: their state dictionaries.
    seconds: spent so far.
    """

    recipe: Recipe
    images: str
    step: int
    loss_sum: float
    model: dict
    optimizer: dict
    seconds: float


def fingerprint(images: torch.Tensor, labels: torch.Tensor) -> str:
    """SHA-256 of images and labels as 64 hexadecimal digits."""
    digest = hashlib.sha256(images.numpy().tobytes())
    digest.update(labels.numpy().tobytes())
    return digest.hexdigest()


def save_state(state: TrainingState, path: Path) -> None:
    """Write `state`; the file at `path` is the old one or the new one at any time, also after a loss of power."""
    content = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    content |= {"format": FORMAT, "recipe": dataclasses.asdict(state.recipe)}
    data = io.BytesIO()  # its own writing would tell a full disk as an error of its format
    torch.save(content, data)
    with whole_file(path) as partial:
        partial.write_bytes(data.getvalue())


def load_state(path: Path, recipe: Recipe, images: str) -> TrainingState:
    """The state at `path`, which must be of a run with this recipe on these images.

    Raises TrainingError for a file that is damaged, holds more than tensors and plain values (nothing in it is
    executed), or belongs to another run.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # remarks on a strange file, which is then refused
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError, zipfile.BadZipFile):
        raise TrainingError(f"{path}: not a whole training state of plain tensors") from None
    if not isinstance(content, dict) or set(content) != set(ENTRIES) or content["format"] != FORMAT:
        raise TrainingError(f"{path}: not a training state of format {FORMAT}")
    for name, kind in ENTRIES.items():
        value, rule = content[name], "a finite float" if kind is float else f"of type {kind.__name__}"
        if not isinstance(value, kind) or isinstance(value, bool) or (kind is float and not math.isfinite(value)):
            raise TrainingError(f"{path}: {name} must be {rule}, not {' '.join(str(value).split())[:40]}")
    del content["format"]
    wanted = dataclasses.asdict(recipe)
    differing = [name for name, value in wanted.items() if content["recipe"].get(name) != value]
    if differing:
        name = differing[0]
        raise TrainingError(
            f"{path}: is of a run with {name} {content['recipe'].get(name)}, not {wanted[name]}; "
            "give another --state or --restart"
        )
    if content["images"] != images:
        raise TrainingError(f"{path}: is of a run on other training images; give another --state or --restart")
    content["recipe"] = recipe
    return TrainingState(**content)
