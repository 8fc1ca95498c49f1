"""The trained network that ships with the project: EfficientViT-B0 for CIFAR-10 at 64 x 64."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from golden.network.checkpoint import load_state, read_checkpoint
from golden.network.efficientvit import EfficientViT

ASSETS = Path(__file__).resolve().parent.parent / "assets"
BUNDLED_PATH = ASSETS / "efficientvit_b0_cifar10_r64.safetensors"


@dataclass(frozen=True)
class BundledModel:
    """A network and what its file says about it.

    model: in evaluation mode. classes: names in index order. resolution: input side in pixels.
    mean, std: input normalization per RGB channel. accuracy: float top-1 in percent. recipe: how it was trained.
    """

    model: EfficientViT
    classes: tuple[str, ...]
    resolution: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    accuracy: float
    recipe: str


def load_bundled() -> BundledModel:
    """Read the bundled network; raises CheckpointError if its file is missing or damaged."""
    state, metadata = read_checkpoint(BUNDLED_PATH)
    facts = {name: json.loads(value) for name, value in metadata.items()}
    model = EfficientViT(facts["preset"], len(facts["classes"]), facts["resolution"])
    load_state(model, state, source=str(BUNDLED_PATH))
    return BundledModel(
        model=model.eval(),
        classes=tuple(facts["classes"]),
        resolution=facts["resolution"],
        mean=tuple(facts["mean"]),
        std=tuple(facts["std"]),
        accuracy=facts["accuracy"],
        recipe=facts["recipe"],
    )
