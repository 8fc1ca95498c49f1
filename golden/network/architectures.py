"""The architectures of float networks: one row each, the only place outside their folders that lists them.

A new architecture is a folder `golden/network/<name>/` with its model and its graph, and a row in ARCHITECTURES:
checkpoints, seeded weights, quantizer, evaluation and the command line then know it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from triovit.golden.network.classifier import Classifier, NamedPreset
from triovit.golden.network.efficientvit.checkpoint import identify as identify_efficientvit
from triovit.golden.network.efficientvit.checkpoint import official_name as official_efficientvit_name
from triovit.golden.network.efficientvit.graph import efficientvit_layers
from triovit.golden.network.efficientvit.model import EfficientViT
from triovit.golden.network.efficientvit.presets import PRESETS as EFFICIENTVIT_PRESETS
from triovit.golden.network.graph import GraphError, Layer, check
from triovit.golden.torch_modes import plain_modes


@dataclass(frozen=True)
class Architecture:
    """One kind of float network.

    name: for people. article: in front of it. presets: its sizes by name; no two architectures share a name, so that
    `b0-r224` says everything. model: its class, called with (preset name, n_classes, resolution); raises ValueError for
    values that it does not take. layers: of a model, in execution order; raises GraphError for parameters that are not
    finite. identify: (preset name, n_classes) of a checkpoint's tensors, None for those of another architecture; raises
    ValueError for a size that is none of the presets. official_name: what a parameter of another public naming scheme
    is called in the model; other names stay.
    """

    name: str
    article: str
    presets: Mapping[str, NamedPreset]
    model: type[Classifier]
    layers: Callable[[Any], list[Layer]]
    identify: Callable[[Mapping[str, torch.Tensor]], tuple[str, int] | None]
    official_name: Callable[[str], str] = str


ARCHITECTURES: tuple[Architecture, ...] = (
    Architecture(
        name="EfficientViT",
        article="an",
        presets=EFFICIENTVIT_PRESETS,
        model=EfficientViT,
        layers=efficientvit_layers,
        identify=identify_efficientvit,
        official_name=official_efficientvit_name,
    ),
)


def described() -> str:
    """All architectures for error messages: "an EfficientViT"."""
    return " or ".join(f"{architecture.article} {architecture.name}" for architecture in ARCHITECTURES)


def preset_names() -> list[str]:
    """The presets of all architectures."""
    return [name for architecture in ARCHITECTURES for name in architecture.presets]


def find_architecture(preset: str) -> Architecture:
    """The architecture that has a preset; raises ValueError with the legal names."""
    for architecture in ARCHITECTURES:
        if preset in architecture.presets:
            return architecture
    raise ValueError(f"preset must be one of {', '.join(preset_names())}, not {preset!r}")


@plain_modes()
@torch.inference_mode(False)
def build(preset: str, n_classes: int, resolution: int) -> Classifier:
    """A float network with torch's default weights; raises ValueError or TypeError naming the wrong argument."""
    return find_architecture(preset).model(preset, n_classes, resolution)


def layers_of(model: nn.Module) -> list[Layer]:
    """The layers of a float network in execution order.

    Raises GraphError for a network of no architecture, and for parameters that are not finite.
    """
    for architecture in ARCHITECTURES:
        if isinstance(model, architecture.model):
            layers = architecture.layers(model)
            check(layers)
            return layers
    raise GraphError(f"model must be {described()}, not {type(model).__name__}")
