"""What commands work on: configurations and networks, named on the command line."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from triovit.flow.arguments import DEFAULT_RESOLUTION
from triovit.flow.errors import UsageError
from triovit.flow.output import say, steps
from triovit.golden.evaluation.facts import Facts, find_faults, read_facts
from triovit.golden.integer.errors import NetworkError
from triovit.golden.integer.network import IntegerNetwork
from triovit.golden.integer.serialize import load_network
from triovit.golden.network.architectures import build, preset_names
from triovit.golden.network.bundled import ASSETS, BUNDLED_PATH
from triovit.golden.network.checkpoint import CheckpointError, load_model
from triovit.golden.network.classifier import Classifier
from triovit.golden.network.seeded import initialize
from triovit.golden.quantization.calibration.images import random_images
from triovit.golden.quantization.quantize import quantize
from triovit.hdl.config.accelerator import AcceleratorConfig, load_config

BUNDLED = "bundled"
BUNDLED_NETWORK = ASSETS / "efficientvit_b0_cifar10_r64.int8.safetensors"
SEEDED = re.compile(r"([a-z]+[0-9]*)-r(\d{1,5})")
SEEDED_CLASSES = 1000
SEEDED_IMAGES = 8
NETWORK_HELP = (
    "a quantized network (.safetensors from 'triovit quantize'), 'bundled' (EfficientViT-B0 for CIFAR-10 at 64 x 64, "
    "the default), or PRESET-rRESOLUTION such as b1-r224 for seeded random weights"
)


def find_config(name: str) -> AcceleratorConfig:
    """The configuration that --config names: a preset or a JSON file. A file without a name gets the file's."""
    if not Path(name).is_file():
        return load_config(name)
    try:
        config = load_config(name)
        if config.name == AcceleratorConfig.name:
            config = dataclasses.replace(config, name=Path(name).stem).validate()
    except ValueError as error:
        raise UsageError(f"--config {name}: {error}") from None
    return config


def seeded_model(name: str, seed: int) -> Classifier | None:
    """A float network with random weights if `name` is PRESET-rRESOLUTION, else None."""
    match = SEEDED.fullmatch(name)
    if not match:
        return None
    preset, resolution = match[1], int(match[2])
    if preset not in preset_names():
        if Path(name).is_file():
            return None
        raise UsageError(f"unknown preset {preset!r}; presets: {', '.join(preset_names())}")
    try:
        model = build(preset, SEEDED_CLASSES, resolution)
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from None
    return initialize(model, seed)


def find_network(name: str, seed: int = 0) -> IntegerNetwork:
    """The quantized network that an argument names (see NETWORK_HELP)."""
    if name == BUNDLED:
        return _load(_whole_checkout(BUNDLED_NETWORK))
    model = seeded_model(name, seed)
    if model is None:
        if not Path(name).is_file():
            raise UsageError(f"no network {name!r}: give {NETWORK_HELP}")
        return _load(Path(name))
    say(f"{name}: seeded random weights (seed {seed}), quantized on {SEEDED_IMAGES} random images")
    with steps("calibrating") as update:
        return quantize(
            model, random_images(seed, SEEDED_IMAGES, model.resolution), name=f"{name}-seed{seed}", progress=update
        )


def find_float(name: str, resolution: int | None = None, seed: int = 0) -> tuple[Classifier, Facts]:
    """The float network that an argument names ('bundled', PRESET-rRESOLUTION, or a checkpoint file), and what its file
    says about it. resolution: before the file's own; without either 224."""
    model = seeded_model(name, seed)
    if model is not None:
        if resolution not in (None, model.resolution):
            raise UsageError(f"{name} has a resolution of {model.resolution}, not {resolution}")
        return model, Facts()
    path = _whole_checkout(BUNDLED_PATH) if name == BUNDLED else name
    facts = read_facts(path)
    model = load_model(path, resolution or facts.resolution or DEFAULT_RESOLUTION)
    if len(facts.classes) not in (0, model.n_classes):
        raise CheckpointError(f"{path}: names {len(facts.classes)} classes for {model.n_classes} outputs")
    return model, facts


def _whole_checkout(path: Path) -> Path:
    if not path.is_file():
        raise UsageError(f"the bundled network is missing from this installation: {path}")
    return path


def _load(path: Path) -> IntegerNetwork:
    """Read a network; what only reports use of it is checked here, and every error names the file."""
    try:
        network = load_network(path)
        if not isinstance(network.metadata, dict) or not all(isinstance(name, str) for name in network.classes):
            raise NetworkError("metadata must be an object, and classes must be texts")
        if type(network.metadata.get("logit_scale", 1.0)) not in (int, float):
            raise NetworkError(f"logit_scale must be a number, not {network.metadata['logit_scale']!r}")
        if faults := find_faults(network.metadata):
            raise NetworkError(faults[0])
    except NetworkError as error:
        raise NetworkError(str(error) if str(path) in str(error) else f"{path}: {error}") from None
    return network
