"""What a network's file says beside its weights: class names, input size, crop and normalization."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from triovit.golden.data.images import CROP, IMAGENET_MEAN, IMAGENET_STD
from triovit.golden.validation import broken

MEANS = (-10, 10)
DEVIATIONS = (1e-6, 1e6)  # far from what float32 cannot hold
CROPS = (0.1, 1)  # below, images would be enlarged more than tenfold, and fill the memory


@dataclass(frozen=True)
class Facts:
    """classes: names in the order of the outputs, empty if unknown. resolution: side in pixels, None if unknown.
    mean, std: of pixels / 255, a value an RGB channel. crop: share of an image's shorter side that is kept (see
    `golden.data.images.fit`)."""

    classes: tuple[str, ...] = ()
    resolution: int | None = None
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    crop: float = CROP


def parse_facts(metadata: Mapping[str, str]) -> Facts:
    """The facts among texts by name, each a JSON string; what is lacking keeps its default.

    Raises ValueError for a fact that is no JSON or breaks a rule.
    """
    found = {name: _parse(name, text) for name, text in metadata.items() if name in RULES}
    if faults := find_faults(found):
        raise ValueError("; ".join(faults))
    values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in found.items()}
    return Facts(**values)


def find_faults(values: dict) -> list[str]:
    """What breaks a rule among facts (JSON values by name): the rule and the value. Other names are passed over."""
    return broken(values, RULES, lambda value: json.dumps(value)[:60])


def crop_of(metadata: Mapping[str, Any]) -> float:
    """The crop in a quantized network's metadata; networks from before there was a choice have none and mean 0.95."""
    return metadata.get("crop", CROP)


def _parse(name, text):
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"{name} must be JSON, not {text[:60]!r}") from None


def _texts(value):
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _three_numbers(value, low, high):
    return (
        isinstance(value, list)
        and len(value) == 3
        and all(type(number) in (int, float) and low <= number <= high for number in value)
    )  # false for NaN


RULES = {  # of every fact: in words, and as a function
    "classes": ("a list of texts", _texts),
    "resolution": ("a multiple of 32 in 32..1024", lambda v: type(v) is int and 32 <= v <= 1024 and v % 32 == 0),
    "mean": (f"three numbers in {MEANS[0]}..{MEANS[1]}", lambda v: _three_numbers(v, *MEANS)),
    "std": (f"three numbers in {DEVIATIONS[0]:g}..{DEVIATIONS[1]:g}", lambda v: _three_numbers(v, *DEVIATIONS)),
    "crop": (f"a number in {CROPS[0]}..{CROPS[1]}", lambda v: type(v) in (int, float) and CROPS[0] <= v <= CROPS[1]),
}
