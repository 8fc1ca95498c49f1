"""Files that ship with the project: README.md tells of each what it is, where it is from, and its licence."""

from __future__ import annotations

from pathlib import Path

ASSETS = Path(__file__).resolve().parent
FLOAT_NETWORK = ASSETS / "efficientvit_b0_cifar10_r64.safetensors"  # EfficientViT-B0 for CIFAR-10 at 64 x 64
INTEGER_NETWORK = ASSETS / "efficientvit_b0_cifar10_r64.int8.safetensors"  # the same, quantized
SAMPLE = ASSETS / "sample.npz"  # labelled pictures of CIFAR-10's classes, drawn by `golden.data.drawn`
PHOTO = ASSETS / "chelsea.png"  # 451 x 300 pixels, a cat
