"""Quantize a float network in three ways, from Python, and see what each costs: in accuracy, and per tensor.

Needs the extra `quantize` (PyTorch): pip install 'triovit[quantize]'

    python examples/quantize_and_measure.py [FOLDER]

writes the integer networks to FOLDER, by default build/quantized, for `triovit compare FILE` and the like.

The network is the float one that ships; `load_model` of triovit.golden.network.checkpoint reads your own. Images are
the drawn sample that ships, enough to try things; DATA in its place names your own, as for `triovit quantize --data`.
"""

import sys
from pathlib import Path

import numpy as np

from triovit.golden.data.sources import open_labelled
from triovit.golden.evaluation.evaluate import evaluate
from triovit.golden.evaluation.predictors import FloatPredictor, IntegerPredictor
from triovit.golden.integer.serialize import save_network
from triovit.golden.network.bundled import load_bundled
from triovit.golden.quantization.calibration.images import calibration_images
from triovit.golden.quantization.methods import METHODS
from triovit.golden.quantization.quantize import quantize
from triovit.golden.quantization.sqnr import compare

DATA = "sample"  # or a folder with a folder per class, an archive of one, a CIFAR-10 file


def main() -> int:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "build/quantized")
    folder.mkdir(parents=True, exist_ok=True)
    bundled = load_bundled()
    images = calibration_images(DATA, 256, bundled.resolution)
    test = open_labelled(DATA)
    print(f"calibrated on {images.description}, measured on {len(test)}")
    pixels = np.stack([test.image(index, bundled.resolution) for index in range(len(test))])
    exact = evaluate(FloatPredictor(bundled.model, bundled.mean, bundled.std), test).accuracy()

    print(f"{'network':10}{'top-1':>9}{'SQNR of the logits':>21}   worst tensor")
    print(f"{'float':10}{exact.percent:7.1f} %")
    for method in ("minmax", "trio", "p2"):
        network = quantize(
            bundled.model,
            images,
            name=f"b0-{method}",
            classes=bundled.classes,
            settings=METHODS[method],
            mean=bundled.mean,
            std=bundled.std,
        )
        # Integers all the way, on many images at once; the RTL computes the same bits.
        top1 = evaluate(IntegerPredictor(network), test).accuracy()
        # Signal to quantization noise of every tensor, with all errors before it.
        errors = compare(bundled.model, network, pixels)
        worst = min(errors, key=lambda error: error.sqnr)
        print(f"{method:10}{top1.percent:7.1f} %{errors[-1].sqnr:18.1f} dB   {worst.sqnr:.1f} dB, {worst.name}")
        save_network(network, folder / f"{network.name}.safetensors")
    return 0


if __name__ == "__main__":
    sys.exit(main())
