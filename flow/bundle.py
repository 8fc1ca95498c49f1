"""The command that makes the quantized network that ships with the project:

    python -m triovit.flow.bundle ARCHIVE.npz [--output FILE] [--calibration N] [--test N] [--processes P]

ARCHIVE is CIFAR-10 as JPEG (see `golden.data.folders.CifarArchive`). Calibration uses evenly spaced training
images; then both networks are measured on the test images, and the file's metadata records all of it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from triovit.golden.assets import INTEGER_NETWORK
from triovit.golden.data.archives import CifarArchive
from triovit.golden.data.folders import DatasetError, Subset
from triovit.golden.data.images import ImageError
from triovit.golden.evaluation.evaluate import evaluate
from triovit.golden.evaluation.parallel import ParallelError
from triovit.golden.evaluation.predictors import FloatPredictor, IntegerPredictor
from triovit.golden.integer.network import IntegerNetwork
from triovit.golden.integer.serialize import save_network
from triovit.golden.network.bundled import load_bundled
from triovit.golden.quantization.calibration.images import calibration_images
from triovit.golden.quantization.methods import find_method
from triovit.golden.quantization.quantize import quantize
from triovit.golden.quantization.settings import QuantizationError

CALIBRATION_IMAGES = 512


def quantize_bundled(archive, count: int = CALIBRATION_IMAGES, method: str = "trio") -> IntegerNetwork:
    """The bundled float network quantized with `count` evenly spaced training images of a CIFAR-10 archive."""
    bundled = load_bundled()
    network = quantize(
        bundled.model,
        calibration_images(archive, count, bundled.resolution),
        name="efficientvit_b0_cifar10_r64",
        classes=bundled.classes,
        settings=find_method(method),
        mean=bundled.mean,
        std=bundled.std,
    )
    return network.with_metadata(method=method, recipe=bundled.recipe)


def main(arguments: list[str] | None = None) -> None:
    """Quantize the bundled network, measure it, write it."""
    parser = argparse.ArgumentParser(prog="python -m triovit.flow.bundle", description=main.__doc__)
    parser.add_argument("archive", help="CIFAR-10 as JPEG in an .npz archive")
    parser.add_argument("--output", type=Path, default=INTEGER_NETWORK, help="file to write")
    parser.add_argument("--calibration", type=int, default=CALIBRATION_IMAGES, help="training images for calibration")
    parser.add_argument("--test", type=int, help="measure on N evenly spaced test images (default: all)")
    parser.add_argument("--processes", type=int, default=2, help="worker processes")
    options = parser.parse_args(arguments)
    try:
        test = CifarArchive(options.archive, "test")
        test = Subset(test, len(test) if options.test is None else options.test)
        network = quantize_bundled(options.archive, options.calibration)
        bundled = load_bundled()
        measured = {"test_images": len(test)}
        predictors = {
            "float": FloatPredictor(bundled.model, bundled.mean, bundled.std),
            "integer": IntegerPredictor(network),
        }
        for name, predictor in predictors.items():

            def progress(right, seen, total, name=name):
                if seen and seen % 1000 == 0:
                    print(f"{name} {right} of {seen} right", flush=True)

            top1 = evaluate(predictor, test, processes=options.processes, progress=progress).accuracy()
            print(f"{name} top-1 {top1.percent:.2f} % ({top1.correct} of {top1.images} images)")
            measured[f"{name}_top1"] = top1.percent
        save_network(network.with_metadata(**measured), options.output)
    except (DatasetError, ImageError, ParallelError, QuantizationError, ValueError, OSError) as error:
        parser.exit(2, f"error: {error}\n")
    print(f"wrote {options.output.name} ({options.output.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
