"""Float networks, named on the command line: all that needs PyTorch."""

from __future__ import annotations

from pathlib import Path

from triovit.flow.arguments import DEFAULT_RESOLUTION
from triovit.flow.errors import UsageError
from triovit.flow.network_names import BUNDLED, SEEDED, whole_installation
from triovit.flow.output import say, steps
from triovit.golden.assets import FLOAT_NETWORK
from triovit.golden.integer.network import IntegerNetwork
from triovit.golden.network.architectures import build, preset_names
from triovit.golden.network.checkpoint import CheckpointError, load_model, read_facts
from triovit.golden.network.classifier import Classifier
from triovit.golden.network.facts import Facts
from triovit.golden.network.seeded import initialize
from triovit.golden.quantization.calibration.images import random_images
from triovit.golden.quantization.quantize import quantize

SEEDED_CLASSES = 1000
SEEDED_IMAGES = 8


def find_float(name: str, resolution: int | None = None, seed: int = 0) -> tuple[Classifier, Facts]:
    """The float network that an argument names ('bundled', PRESET-rRESOLUTION, or a checkpoint file), and what its file
    says about it. resolution: before the file's own; without either 224."""
    if SEEDED.fullmatch(name) and not Path(name).is_file():
        model = seeded_model(name, seed)
        if resolution not in (None, model.resolution):
            raise UsageError(f"{name} has a resolution of {model.resolution}, not {resolution}")
        return model, Facts()
    path = whole_installation(FLOAT_NETWORK) if name == BUNDLED else name
    facts = read_facts(path)
    model = load_model(path, resolution or facts.resolution or DEFAULT_RESOLUTION)
    if len(facts.classes) not in (0, model.n_classes):
        raise CheckpointError(f"{path}: names {len(facts.classes)} classes for {model.n_classes} outputs")
    return model, facts


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
