"""Reading and writing checkpoints of float networks.

Public naming schemes are read: those of the architectures' own repositories (also this package's, "official") and those
that their rows in `golden.network.architectures` translate. Files are `.pt`, `.pth` or `.bin` (torch, tensors only:
nothing in them is executed) and `.safetensors`. The dictionary may be wrapped under "state_dict" or "model", and its
names may all start with "module.".
Everything wrong with a file is one `CheckpointError` with a one-line message.
"""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from triovit.golden.errors import TriovitError
from triovit.golden.files import whole_file
from triovit.golden.messages import first_line, listing
from triovit.golden.network import architectures
from triovit.golden.network.classifier import Classifier
from triovit.golden.network.facts import Facts, parse_facts

TORCH_SUFFIXES = (".pt", ".pth", ".bin")
SAFETENSORS_SUFFIX = ".safetensors"
WRAPPERS = ("state_dict", "model")
COUNTER = ".num_batches_tracked"  # of a batch normalization: not used, so a file may leave it out


class CheckpointError(TriovitError, ValueError):
    """A checkpoint that cannot be used; the message is one line.

    missing, unexpected, mis_shaped, non_finite: complete tuples of parameter names (empty unless the file
    could be read and was meant for this network size and class count).
    """

    def __init__(self, message, *, missing=(), unexpected=(), mis_shaped=(), non_finite=()):
        super().__init__(message)
        self.missing = tuple(missing)
        self.unexpected = tuple(unexpected)
        self.mis_shaped = tuple(mis_shaped)
        self.non_finite = tuple(non_finite)


def read_checkpoint(path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """(tensors by official name, metadata) of a file; the metadata is empty for torch files."""
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
    return official_names(_unwrap(path, content)), metadata


def read_facts(path) -> Facts:
    """What the metadata of a .safetensors checkpoint says; a torch file has none.

    Raises CheckpointError for an unreadable file and for facts that break a rule.
    """
    _, metadata = read_checkpoint(path)
    try:
        return parse_facts(metadata)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from None


def official_names(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same tensors under official names; those of no architecture keep their names."""
    if state and all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    for architecture in architectures.ARCHITECTURES:
        renamed = {architecture.official_name(name): tensor for name, tensor in state.items()}
        try:
            if architecture.identify(renamed) is None:
                continue
        except ValueError:
            pass  # of this architecture, and `identify` will say what is wrong
        return renamed
    return dict(state)


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
    raise CheckpointError(f"not {architectures.described()} classifier: first or final layer missing")


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
    problems = {
        "missing": [name for name in expected if name not in state and not name.endswith(COUNTER)],
        "unexpected": [name for name in state if name not in expected],
        "mis_shaped": [name for name in state if name in expected and state[name].shape != expected[name].shape],
        "non_finite": [name for name in state if name in expected and not _sound(name, state[name])],
    }
    found = [f"{kind.replace('_', '-')}: {listing(names)}" for kind, names in problems.items() if names]
    if found:
        raise CheckpointError(f"{source}: " + "; ".join(found), **problems)
    model.load_state_dict({name: state.get(name, tensor) for name, tensor in expected.items()})


def load_model(path, resolution=224) -> Classifier:
    """Network of the size and class count the file itself shows, filled and in evaluation mode."""
    state, _ = read_checkpoint(path)
    try:
        preset, n_classes = identify(state)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    model = architectures.build(preset, n_classes, resolution)
    load_state(model, state, source=str(path))
    return model.eval()


def save_checkpoint(model: Classifier, path, metadata: Mapping[str, str] | None = None) -> None:
    """Write `model` as .safetensors under official names, whole or not at all; metadata values are strings."""
    if Path(path).suffix != SAFETENSORS_SUFFIX:
        raise ValueError(f"path must end in {SAFETENSORS_SUFFIX}, not {Path(path).suffix!r}")
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    with whole_file(path) as partial:
        save_file(tensors, partial, metadata=dict(metadata or {}))


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
        # Torch's own text for pickled objects advises to load them all the same.
        refused = isinstance(error, pickle.UnpicklingError)
        reason = "it is damaged or holds more than tensors" if refused else first_line(error)
        raise CheckpointError(f"{path}: not a whole torch file of plain tensors ({reason})") from None


def _unwrap(path, content):
    if isinstance(content, Mapping):
        for wrapper in WRAPPERS:
            if isinstance(content.get(wrapper), Mapping):
                content = content[wrapper]
                break
    if not isinstance(content, Mapping) or not content:
        raise CheckpointError(f"{path}: holds no dictionary of tensors")
    strange = [str(name) for name, value in content.items() if not isinstance(name, str) or not _plain(value)]
    if strange:
        raise CheckpointError(f"{path}: not plain tensors with names: {listing(strange)}")
    return content


def _plain(value):
    """Whether a value is a tensor of plain numbers: not sparse, nested or packed, and not without any."""
    return (
        isinstance(value, torch.Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not value.is_nested
        and value.dtype != torch.float4_e2m1fn_x2
    )


def _sound(name, tensor):
    if name.endswith(COUNTER):
        return True
    if not tensor.is_floating_point():
        return False
    values = tensor.float()  # as they are used: a float64 may be too large, and some float8 know no `isfinite`
    return bool(torch.isfinite(values).all()) and not (name.endswith("running_var") and bool((values < 0).any()))
