"""Float networks, named on the command line: all that needs PyTorch."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from triovit.flow.arguments import DEFAULT_RESOLUTION, FLOAT_OPTIONS
from triovit.flow.errors import UsageError
from triovit.flow.file_kinds import CHECKPOINT, check_kind
from triovit.flow.network_names import BUNDLED, is_seeded, whole_installation
from triovit.flow.output import say
from triovit.flow.progress import steps
from triovit.golden.assets import FLOAT_NETWORK
from triovit.golden.integer.network import IntegerNetwork
from triovit.golden.messages import listing
from triovit.golden.network.architectures import build, find_architecture, preset_names
from triovit.golden.network.checkpoint import Checkpoint, CheckpointError, read_checkpoint
from triovit.golden.network.classifier import Classifier
from triovit.golden.network.facts import Facts, crop_of
from triovit.golden.network.seeded import initialize
from triovit.golden.quantization.calibration.images import random_images
from triovit.golden.quantization.quantize import quantize

SEEDED_CLASSES = 1000
SEEDED_IMAGES = 8
TOLD = ("resolution", "mean", "std", "crop")  # facts on which results depend


@dataclass(frozen=True)
class Given:
    """What is known of a float network from elsewhere than its file, before what its file says; None: nothing.

    weights: which set of a file that holds several. source: where all of it is from.
    """

    weights: str | None = None
    resolution: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    crop: float | None = None
    source: str = "given"

    @staticmethod
    def by(options) -> Given:
        """By the command line (`add_float_options`)."""
        return Given(**{name: getattr(options, name) for name in FLOAT_OPTIONS})

    @staticmethod
    def of(network: IntegerNetwork, name: str, weights: str | None) -> Given:
        """Of a network that was quantized from it, whose file is `name`."""
        mean, std = (tuple(network.metadata[key]) if key in network.metadata else None for key in ("mean", "std"))
        return Given(weights, network.input_shape[1], mean, std, crop_of(network.metadata), f"of {name}")


def find_float(name: str, given: Given = Given(), seed: int = 0) -> tuple[Classifier, Facts]:
    """The float network that an argument names ('bundled', PRESET-rRESOLUTION, or a checkpoint file), and the facts
    about it: those given, else those of its file, else defaults.

    A line says which are which wherever something is assumed, or tensors have been chosen out of a file or renamed.
    """
    if is_seeded(name):
        return _find_seeded(name, given, seed)
    path = whole_installation(FLOAT_NETWORK) if name == BUNDLED else name
    check_kind(path, CHECKPOINT)
    checkpoint = read_checkpoint(path, given.weights)
    said = checkpoint.facts()
    known = {key: value for key in TOLD if (value := getattr(given, key)) is not None}
    resolution = given.resolution or said.resolution or DEFAULT_RESOLUTION
    facts = dataclasses.replace(said, **{**known, "resolution": resolution})
    model = checkpoint.model(resolution)
    if len(facts.classes) not in (0, model.n_classes):
        raise CheckpointError(f"{path}: names {len(facts.classes)} classes for {model.n_classes} outputs")
    told = known.keys() | checkpoint.metadata.keys() >= set(TOLD) and checkpoint.weights.are_all
    if name != BUNDLED and not told:
        say(_describe(name, model, checkpoint, facts, known, given.source))
    return model, facts


def _find_seeded(name: str, given: Given, seed: int) -> tuple[Classifier, Facts]:
    if given.weights is not None:
        raise UsageError(f"--weights goes with a checkpoint; {name} has seeded random weights")
    model = seeded_model(name, seed)
    if given.resolution not in (None, model.resolution):
        raise UsageError(f"{name} has a resolution of {model.resolution}, not {given.resolution}")
    known = {key: value for key in TOLD if (value := getattr(given, key)) is not None}
    return model, Facts(**{"resolution": model.resolution, **known})


def _describe(name: str, model: Classifier, checkpoint: Checkpoint, facts: Facts, known: dict, source: str) -> str:
    """What network it is, and where every fact about it is from."""
    preset, weights = model.preset.name, checkpoint.weights
    parts = [f"{find_architecture(preset).name}-{preset}, {model.n_classes} outputs"]
    parts += [f"weights {weights.path!r}"] if weights.path else []
    parts += [f"names without {weights.prefix!r}"] if weights.prefix else []
    parts += [f"not used: {listing(weights.ignored)}"] if weights.ignored else []
    groups: dict[str, list[str]] = {"from its file": [], source: [], "assumed": []}
    for key in TOLD:
        origin = source if key in known else "from its file" if key in checkpoint.metadata else "assumed"
        groups[origin].append(key)
    told = [", ".join(parts)]
    told += [f"{origin}: {_values(facts, keys)}" for origin, keys in groups.items() if keys]
    if groups["assumed"]:
        told[-1] += f" ({', '.join(f'--{key}' for key in groups['assumed'])} if not so)"
    return f"{name}: {'; '.join(told)}"


def _values(facts: Facts, keys: Iterable[str]) -> str:
    def text(value) -> str:
        return ",".join(f"{number:g}" for number in value) if isinstance(value, tuple) else f"{value:g}"

    return ", ".join(f"{key} {text(getattr(facts, key))}" for key in keys)


def seeded_model(name: str, seed: int) -> Classifier:
    """A float network with random weights; name: PRESET-rRESOLUTION (`SEEDED`)."""
    preset, _, resolution = name.rpartition("-r")
    if preset not in preset_names():
        raise UsageError(f"unknown preset {preset!r}; presets: {', '.join(preset_names())}")
    try:
        model = build(preset, SEEDED_CLASSES, int(resolution))
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from None
    return initialize(model, seed)


def quantize_seeded(name: str, seed: int) -> IntegerNetwork:
    """`seeded_model`, quantized on a few random images."""
    model = seeded_model(name, seed)
    say(f"{name}: seeded random weights (seed {seed}), quantized on {SEEDED_IMAGES} random images")
    with steps("calibrating") as update:
        return quantize(
            model, random_images(seed, SEEDED_IMAGES, model.resolution), name=f"{name}-seed{seed}", progress=update
        )
