"""Quantize a float network in three ways, from Python, and see what each costs: per tensor, and in classes.

Needs the extra `quantize` (PyTorch): pip install 'triovit[quantize]'

    python examples/quantize_and_measure.py [FOLDER]

writes the integer networks to FOLDER, by default build/quantized, for `triovit compare FILE` and the like.

The network is the float one that ships; `load_model` of triovit.golden.network.checkpoint reads your own. Images are
patches of the photo that ships, which is enough to see errors; a network that is meant for use needs some hundreds of
images of its own data: `calibration_images(PATH, 512, resolution)`.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from triovit.golden.assets import PHOTO
from triovit.golden.data.images import fit
from triovit.golden.evaluation.predictors import FloatPredictor, IntegerPredictor
from triovit.golden.integer.serialize import save_network
from triovit.golden.network.bundled import load_bundled
from triovit.golden.quantization.methods import METHODS
from triovit.golden.quantization.quantize import quantize
from triovit.golden.quantization.sqnr import compare

PATCHES, SIDE = 96, 200


def patches(resolution: int) -> np.ndarray:
    """(PATCHES, R, R, 3) uint8: squares of the photo at random places, mirrored or not."""
    photo, generator = Image.open(PHOTO).convert("RGB"), np.random.default_rng(0)
    result = []
    for left, top in zip(*(generator.integers(0, size - SIDE, PATCHES) for size in photo.size), strict=True):
        patch = fit(photo.crop((left, top, left + SIDE, top + SIDE)), resolution)
        result.append(patch[:, :: generator.choice((1, -1))])
    return np.stack(result)


def main() -> int:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "build/quantized")
    folder.mkdir(parents=True, exist_ok=True)
    bundled = load_bundled()
    images = patches(bundled.resolution)
    calibration, test = images[: PATCHES // 2], images[PATCHES // 2 :]
    expected = FloatPredictor(bundled.model, bundled.mean, bundled.std).logits(test).argmax(axis=1)

    print(f"{'method':8}{'same class':>12}{'SQNR of the logits':>20}   worst tensor")
    for method in ("minmax", "trio", "p2"):
        network = quantize(
            bundled.model,
            calibration,
            name=f"b0-{method}",
            classes=bundled.classes,
            settings=METHODS[method],
            mean=bundled.mean,
            std=bundled.std,
        )
        # Integers all the way, on many images at once; the RTL computes the same bits.
        found = IntegerPredictor(network).logits(test).argmax(axis=1)
        # Signal to quantization noise of every tensor, with all errors before it.
        errors = compare(bundled.model, network, test)
        worst = min(errors, key=lambda error: error.sqnr)
        same = f"{(found == expected).sum()} of {len(test)}"
        print(f"{method:8}{same:>12}{errors[-1].sqnr:17.1f} dB   {worst.sqnr:.1f} dB, {worst.name}")
        save_network(network, folder / f"{network.name}.safetensors")
    return 0


if __name__ == "__main__":
    sys.exit(main())
