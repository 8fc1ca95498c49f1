"""Published checkpoints of EfficientViT: the names in them, and what size they are of."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

from triovit.golden.network.efficientvit.presets import PRESETS

STEM_KEY = "backbone.input_stem.op_list.0.conv.weight"
CLASSIFIER_KEY = "head.op_list.3.linear.weight"

_TIMM_TO_OFFICIAL = (
    (r"stem\.in_conv\.", r"backbone.input_stem.op_list.0."),
    (r"stem\.res(\d+)\.", lambda match: f"backbone.input_stem.op_list.{int(match[1]) + 1}."),
    (r"stages\.(\d+)\.blocks\.", r"backbone.stages.\1.op_list."),
    (r"head\.in_conv\.", r"head.op_list.0."),
    (r"head\.classifier\.0\.", r"head.op_list.2.linear."),
    (r"head\.classifier\.1\.", r"head.op_list.2.norm."),
    (r"head\.classifier\.4\.", r"head.op_list.3.linear."),
)


def official_name(name: str) -> str:
    """The official repository's (and this package's) name of a parameter that timm names; another one as it is."""
    for pattern, replacement in _TIMM_TO_OFFICIAL:
        match = re.match(pattern, name)
        if match:
            head = replacement(match) if callable(replacement) else match.expand(replacement)
            return head + name[match.end() :]
    return name


def identify(state: Mapping[str, torch.Tensor]) -> tuple[str, int] | None:
    """(preset name, number of classes) of tensors under official names, None for those of another architecture.

    Raises ValueError for a stem whose width no preset has.
    """
    stem, classifier = state.get(STEM_KEY), state.get(CLASSIFIER_KEY)
    if stem is None or classifier is None or stem.dim() != 4 or classifier.dim() != 2:
        return None
    for preset in PRESETS.values():
        if preset.widths[0] == stem.shape[0]:
            return preset.name, classifier.shape[0]
    raise ValueError(f"not an EfficientViT B0-B3: the stem has {stem.shape[0]} channels")
