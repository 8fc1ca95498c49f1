"""Reading and writing checkpoints of float networks.

Public naming schemes are read: those of the architectures' own repositories (also this package's, "official") and those
that their rows in `golden.network.architectures` translate. Files are `.pt`, `.pth` or `.bin` (torch, tensors only:
nothing in them is executed) and `.safetensors`. The tensors may lie in containers, and their names may share a prefix:
see `golden.network.containers`.
Everything wrong with a file is one `CheckpointError` with a one-line message.
"""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import nn

from triovit.golden.files import whole_file
from triovit.golden.messages import first_line, listing
from triovit.golden.network import architectures
from triovit.golden.network.classifier import Classifier
from triovit.golden.network.containers import CheckpointError, Weights, choose
from triovit.golden.network.facts import Facts, parse_facts
from triovit.golden.torch_modes import plain_modes

TORCH_SUFFIXES = (".pt", ".pth", ".bin")
SAFETENSORS_SUFFIX = ".safetensors"
COUNTER = ".num_batches_tracked"  # of a batch normalization: not used, so a file may leave it out
UNSUPPORTED = re.compile(r"Unsupported (?:global: GLOBAL|class) ([\w.]+)")  # in what torch says of other objects


@dataclass(frozen=True)
class Checkpoint:
    """What is read of a file. state: tensors by official name. metadata: texts by name, empty for torch files. weights:
    where in the file the tensors are, and what has been taken off their names."""

    path: Path
    state: dict[str, torch.Tensor]
    metadata: dict[str, str]
    weights: Weights

    def facts(self) -> Facts:
        """What the metadata says; raises CheckpointError for facts that break a rule."""
        try:
            return parse_facts(self.metadata)
        except ValueError as error:
            raise CheckpointError(f"{self.path}: {error}") from None

    def model(self, resolution: int = 224) -> Classifier:
        """Network of the size and class count that the tensors show, filled and in evaluation mode."""
        try:
            preset, n_classes = identify(self.state)
        except CheckpointError as error:
            raise CheckpointError(f"{self.path}: {error}") from None
        model = architectures.build(preset, n_classes, resolution)
        load_state(model, self.state, source=str(self.path))
        return model.eval()


@plain_modes()
def read_checkpoint(path, weights: str | None = None) -> Checkpoint:
    """The tensors and the metadata of a file.

    weights: which set of them, where a file holds several (see `golden.network.containers`).
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint file")
    metadata = {}
    if path.suffix == SAFETENSORS_SUFFIX:
        content, metadata = _read_safetensors(path)
    elif path.suffix in TORCH_SUFFIXES:
        content = _read_torch(path)
    else:
        legal = ", ".join((*TORCH_SUFFIXES, SAFETENSORS_SUFFIX))
        raise CheckpointError(f"{path}: the suffix of a checkpoint must be one of {legal}, not {path.suffix!r}")
    try:
        chosen = choose(content, lambda tensors: _find_names(tensors) is not None, weights)
        return Checkpoint(path, official_names(chosen.tensors), metadata, chosen)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None


def official_names(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same tensors under official names; those of no architecture keep their names.

    Raises CheckpointError for two tensors that are the same one's under two naming schemes.
    """
    names = _find_names(state) or dict(zip(state, state, strict=True))
    first: dict[str, str] = {}
    for name, official in names.items():
        if first.setdefault(official, name) != name:
            raise CheckpointError(
                f"{first[official]} and {name} are names of one tensor; only one of them may be there"
            )
    return {names[name]: tensor for name, tensor in state.items()}


def _find_names(state: Mapping[str, torch.Tensor]) -> dict[str, str] | None:
    """Official names by the state's own, None for tensors of no architecture."""
    for architecture in architectures.ARCHITECTURES:
        names = {name: architecture.official_name(name) for name in state}
        try:
            if architecture.identify({names[name]: tensor for name, tensor in state.items()}) is None:
                continue
        except ValueError:
            pass  # of this architecture, and `identify` will say what is wrong
        return names
    return None


def identify(state: Mapping[str, torch.Tensor]) -> tuple[str, int]:
    """(preset name, number of classes) of tensors under official names.

    Raises CheckpointError if they tell neither, and for fewer than two classes.
    """
    for architecture in architectures.ARCHITECTURES:
        try:
            found = architecture.identify(state)
        except ValueError as error:
            raise CheckpointError(str(error)) from None
        if found:
            preset, n_classes = found
            if n_classes < 2:
                raise CheckpointError(
                    f"not a classifier: the final layer must have at least 2 outputs, not {n_classes}"
                )
            return preset, n_classes
    strange = next((name for name in state if name not in _known_names()), None)
    hint = f"; the first name that is none of its own is {strange!r}" if strange else ""
    raise CheckpointError(f"not {architectures.described()} classifier: first or final layer missing{hint}")


@plain_modes()
def load_state(model: Classifier, state: Mapping[str, torch.Tensor], source="checkpoint") -> None:
    """Copy tensors under official names into `model`, as float32; `source` names them in errors.

    Raises CheckpointError for another network size or class count, and for missing, unexpected, mis-shaped
    or non-finite tensors (of numbers that are not finite in float32; a negative running variance and a tensor of
    integers count as such); the model is then unchanged.
    """
    try:
        preset, n_classes = identify(state)
    except CheckpointError as error:
        raise CheckpointError(f"{source}: {error}") from None
    if preset != model.preset.name:
        name = architectures.find_architecture(preset).name
        raise CheckpointError(f"{source}: holds {name}-{preset}, the network is {model.preset.name}")
    if n_classes != model.n_classes:
        raise CheckpointError(f"{source}: has {n_classes} classes, the network {model.n_classes}")
    expected = model.state_dict()
    if folded := _folded(model, state):
        raise CheckpointError(
            f"{source}: batch normalizations are folded into the convolutions ({len(folded)}: {folded[0]}.bias is "
            "there, its normalization is not); the quantizer folds them itself: give the weights from before"
        )
    problems = {
        "missing": [name for name in expected if name not in state and not name.endswith(COUNTER)],
        "unexpected": [name for name in state if name not in expected],
        "mis_shaped": [name for name in state if name in expected and state[name].shape != expected[name].shape],
        "non_finite": [name for name in state if name in expected and not _sound(name, state[name])],
    }
    told = problems | {
        "mis_shaped": [
            f"{name} has shape {_shape(state[name])}, not {_shape(expected[name])}" for name in problems["mis_shaped"]
        ]
    }
    found = [f"{kind.replace('_', '-')}: {listing(names)}" for kind, names in told.items() if names]
    if found:
        raise CheckpointError(f"{source}: " + "; ".join(found), **problems)
    model.load_state_dict({name: state.get(name, tensor) for name, tensor in expected.items()})


def load_model(path, resolution=224, weights: str | None = None) -> Classifier:
    """Network of the size and class count the file itself shows, filled and in evaluation mode.

    weights: as of `read_checkpoint`.
    """
    return read_checkpoint(path, weights).model(resolution)


def save_checkpoint(model: Classifier, path, metadata: Mapping[str, str] | None = None) -> None:
    """Write `model` as .safetensors under official names, whole or not at all; metadata values are strings."""
    if Path(path).suffix != SAFETENSORS_SUFFIX:
        raise ValueError(f"path must end in {SAFETENSORS_SUFFIX}, not {Path(path).suffix!r}")
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    data = save(tensors, metadata=dict(metadata or {}))
    with whole_file(path) as partial:
        partial.write_bytes(data)


def _read_safetensors(path):
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, dict(file.metadata() or {})
    except Exception as error:  # the library has no common base class for what a damaged file can raise
        raise CheckpointError(f"{path}: not a whole safetensors file ({first_line(error)})") from None


def _read_torch(path):
    try:
        with warnings.catch_warnings(action="ignore"):  # remarks on a strange file, which is then refused
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # likewise: pickle, zip, end-of-file and runtime errors
        raise CheckpointError(f"{path}: not a whole torch file of plain tensors ({_reason(error)})") from None


def _reason(error: Exception) -> str:
    """Why torch does not read a file. Its own text for pickled objects advises to load them all the same."""
    if "TorchScript" in str(error):
        return "it is a TorchScript program; save the state_dict() of torch.jit.load's result with torch.save instead"
    if not isinstance(error, pickle.UnpicklingError):
        return first_line(error)
    found = UNSUPPORTED.search(str(error))
    what = f" ({found[1]})" if found else ""
    remedy = "save the weights alone: torch.save(model.state_dict(), FILE)"
    return f"it is damaged or holds more than tensors{what}; {remedy}"


def _known_names() -> set[str]:
    """Official names of the parameters of all presets of all architectures."""
    with torch.device("meta"):
        models = [kind.model(preset, 2, 224) for kind in architectures.ARCHITECTURES for preset in kind.presets]
    return {name for model in models for name in model.state_dict()}


def _folded(model: Classifier, state: Mapping[str, torch.Tensor]) -> list[str]:
    """Convolutions with a bias that is not the model's, where the batch normalization behind it is not in `state`."""
    own = model.state_dict()
    norms = [name for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)]
    missing = {name.rpartition(".")[0] for name in norms if not any(key.startswith(f"{name}.") for key in state)}
    convolutions = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]
    return [
        name
        for name in convolutions
        if name.rpartition(".")[0] in missing and f"{name}.bias" in state and f"{name}.bias" not in own
    ]


def _shape(tensor: torch.Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "of one number"


def _sound(name, tensor):
    if name.endswith(COUNTER):
        return True
    if not tensor.is_floating_point():
        return False
    values = tensor.float()  # as they are used: a float64 may be too large, and some float8 know no `isfinite`
    return bool(torch.isfinite(values).all()) and not (name.endswith("running_var") and bool((values < 0).any()))
