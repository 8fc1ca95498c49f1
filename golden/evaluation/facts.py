"""What a float checkpoint says beside its weights: class names, input size and normalization."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

from golden.network.checkpoint import CheckpointError, read_checkpoint
from golden.network.preprocess import IMAGENET_MEAN, IMAGENET_STD


@dataclass(frozen=True)
class Facts:
    """classes: names in the order of the outputs, empty if unknown. resolution: side in pixels, None if unknown.
    mean, std: of pixels / 255, a value an RGB channel."""

    classes: tuple[str, ...] = ()
    resolution: int | None = None
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD


def read_facts(path) -> Facts:
    """The facts in the metadata of a .safetensors checkpoint, each a JSON string; what it lacks keeps its default.

    A torch file has no metadata. Raises CheckpointError for an unreadable file and for facts that break a rule.
    """
    _, metadata = read_checkpoint(path)
    found = {name: _parse(path, name, text) for name, text in metadata.items() if name in Facts.__dataclass_fields__}
    rules = {
        "classes": ("a list of texts", lambda v: isinstance(v, list) and all(isinstance(name, str) for name in v)),
        "resolution": ("a whole number", lambda v: type(v) is int),
        "mean": ("three finite numbers", _three_numbers),
        "std": ("three finite numbers above 0", lambda v: _three_numbers(v) and min(v) > 0),
    }
    for name, value in found.items():
        rule, holds = rules[name]
        if not holds(value):
            raise CheckpointError(f"{path}: {name} must be {rule}, not {json.dumps(value)[:60]}")
    return Facts(**{name: tuple(value) if isinstance(value, list) else value for name, value in found.items()})


def _parse(path, name, text):
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise CheckpointError(f"{path}: {name} must be JSON, not {text[:60]!r}") from None


def _three_numbers(value):
    return (
        isinstance(value, list)
        and len(value) == 3
        and all(type(number) in (int, float) and math.isfinite(number) for number in value)
    )
