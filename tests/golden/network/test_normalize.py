"""Normalization of pixels."""

import pytest
import torch

from triovit.golden.data.images import IMAGENET_MEAN, IMAGENET_STD
from triovit.golden.network.normalize import normalize


def test_normalize():
    images = torch.zeros(1, 2, 2, 3, dtype=torch.uint8)
    images[0, 0, 1] = torch.tensor([255, 128, 0])
    result = normalize(images)
    assert result.shape == (1, 3, 2, 2)
    assert result.dtype == torch.float32
    expected = [(v / 255 - m) / s for v, m, s in zip((255, 128, 0), IMAGENET_MEAN, IMAGENET_STD, strict=True)]
    assert result[0, :, 0, 1].tolist() == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match="images must be uint8"):
        normalize(images.float())
