"""Pixels -> what the float network reads."""

from __future__ import annotations

import torch

from triovit.golden.data.images import IMAGENET_MEAN, IMAGENET_STD


def normalize(images: torch.Tensor, mean=IMAGENET_MEAN, std=IMAGENET_STD) -> torch.Tensor:
    """(N, R, R, 3) uint8 -> (N, 3, R, R) float32: (x / 255 - mean) / std, the network's input."""
    if images.dtype != torch.uint8 or images.dim() != 4 or images.shape[3] != 3:
        raise ValueError(f"images must be uint8 of shape (N, R, R, 3), not {images.dtype} {tuple(images.shape)}")
    x = images.to(torch.float32) / 255
    return ((x - torch.tensor(mean)) / torch.tensor(std)).permute(0, 3, 1, 2).contiguous()
