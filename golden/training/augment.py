"""What happens to a batch of 32 x 32 images before the network sees it, on the whole batch at once."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import interpolate

from triovit.golden.data.images import IMAGENET_MEAN, IMAGENET_STD
from triovit.golden.training.images import SIDE
from triovit.golden.training.recipe import Recipe

GREY = torch.tensor([round(255 * mean) for mean in IMAGENET_MEAN], dtype=torch.float32)  # 0 after normalization


def augment(images: torch.Tensor, recipe: Recipe, rng: np.random.Generator) -> torch.Tensor:
    """Crops, flips, brightness and cut-outs of (N, 32, 32, 3) uint8 images: (N, 32, 32, 3) float32 in 0..255.

    Every image has its own random numbers. The crop out of a reflected border and the flip are one gathering of pixels.
    The cut-out's centre may lie anywhere in the image, so up to three quarters of the square can fall outside.
    """
    count = len(images)
    rows, columns = (_window(count, recipe.padding, rng) for _ in range(2))
    flipped = torch.from_numpy(rng.integers(0, 2, count).astype(bool))
    columns = torch.where(flipped[:, None], columns.flip(1), columns)
    result = images[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]].to(torch.float32)
    factors = 1 + recipe.brightness * rng.uniform(-1, 1, count)
    result *= torch.from_numpy(factors.astype(np.float32))[:, None, None, None]
    result.round_().clamp_(0, 255)
    cut = torch.from_numpy(rng.uniform(0, 1, count) < recipe.cutout_share)
    hidden = _stripe(count, recipe.cutout, rng)[:, :, None] & _stripe(count, recipe.cutout, rng)[:, None, :]
    return torch.where((hidden & cut[:, None, None])[..., None], GREY, result)


def network_input(images: torch.Tensor, resolution: int) -> torch.Tensor:
    """(N, 32, 32, 3) uint8, or float32 in 0..255 -> (N, 3, R, R) float32, normalized, channels last in memory.

    The same enlarging and normalization as `golden.data.images`, for a whole batch.
    """
    planes = images.to(torch.float32).permute(0, 3, 1, 2)
    if resolution != SIDE:
        planes = interpolate(planes, size=(resolution, resolution), mode="bicubic", align_corners=False)
        planes = planes.round_().clamp_(0, 255)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return ((planes / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


def _window(count, padding, rng):
    """(count, 32) int64: coordinates of a random window of the image with `padding` reflected pixels on both sides."""
    first = rng.integers(-padding, padding + 1, (count, 1))
    inside = np.abs(first + np.arange(SIDE))
    return torch.from_numpy(np.minimum(inside, 2 * (SIDE - 1) - inside))


def _stripe(count, width, rng):
    """(count, 32) bool: `width` neighbouring coordinates around a random one; what lies outside is cut off."""
    first = rng.integers(0, SIDE, (count, 1)) - width // 2
    place = np.arange(SIDE)
    return torch.from_numpy((place >= first) & (place < first + width))
