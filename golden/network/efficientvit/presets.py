"""Sizes of the EfficientViT B series (EfficientViT, ICCV 2023, and its released configurations)."""

from __future__ import annotations

from dataclasses import dataclass

IMAGENET_CLASSES = 1000
STRIDE = 32  # of the whole backbone: five halvings
MAX_RESOLUTION = 1024
EXPANSION = 4  # of every MBConv
ATTENTION_STAGES = (3, 4)


@dataclass(frozen=True)
class Preset:
    """One network size.

    name: "b0".."b3". widths: channels of stages 0-4. depths: blocks of stages 0-4 (stages 1 and 2 count
    the down-sampling block, stages 0, 3 and 4 do not). head_dim: channels of an attention head.
    head_widths: channels of the head's convolution and of its hidden fully connected layer.
    """

    name: str
    widths: tuple[int, int, int, int, int]
    depths: tuple[int, int, int, int, int]
    head_dim: int
    head_widths: tuple[int, int]


PRESETS = {
    preset.name: preset
    for preset in (
        Preset("b0", (8, 16, 32, 64, 128), (1, 2, 2, 2, 2), 16, (1024, 1280)),
        Preset("b1", (16, 32, 64, 128, 256), (1, 2, 3, 3, 4), 16, (1536, 1600)),
        Preset("b2", (24, 48, 96, 192, 384), (1, 3, 4, 4, 6), 32, (2304, 2560)),
        Preset("b3", (32, 64, 128, 256, 512), (1, 4, 6, 6, 9), 32, (2304, 2560)),
    )
}


def find_preset(name: str) -> Preset:
    """The preset called `name`; raises ValueError with the legal names otherwise."""
    try:
        return PRESETS[name]
    except (KeyError, TypeError):
        raise ValueError(f"preset must be one of {', '.join(PRESETS)}, not {name!r}") from None
