"""What all float networks have in common, whatever their architecture."""

from __future__ import annotations

from typing import Protocol

from torch import nn


class NamedPreset(Protocol):
    """A size of an architecture; see the architecture's own presets for what is in it."""

    @property
    def name(self) -> str: ...


class Classifier(nn.Module):
    """Normalized images (N, 3, R, R), float -> logits (N, n_classes).

    preset: its size, by whose name it can be built again (`golden.network.architectures.build`). n_classes: outputs.
    resolution: R. Its parameters have the names of the architecture's published checkpoints.
    """

    preset: NamedPreset
    n_classes: int
    resolution: int
