"""The command that makes the quantized network that ships with the project:

    python -m golden.quantization.bundle ARCHIVE.npz [--output FILE] [--calibration N] [--test N] [--processes P]

ARCHIVE is CIFAR-10 as JPEG (see `golden.network.datasets.CifarArchive`). Calibration uses evenly spaced training
images; then both networks are measured on the test images, and the file's metadata records all of it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from golden.integer.network import IntegerNetwork
from golden.integer.serialize import save_network
from golden.network.bundled import ASSETS, load_bundled
from golden.network.datasets import CifarArchive, DatasetError, Subset
from golden.network.evaluate import count_correct, float_predictor
from golden.network.preprocess import ImageError
from golden.quantization.evaluate import integer_predictor
from golden.quantization.quantize import quantize
from golden.quantization.settings import QuantizationError, Settings

QUANTIZED_PATH = ASSETS / "efficientvit_b0_cifar10_r64.int8.safetensors"
CALIBRATION_IMAGES = 512


def quantize_bundled(archive, count: int = CALIBRATION_IMAGES, settings: Settings | None = None) -> IntegerNetwork:
    """The bundled float network quantized with `count` evenly spaced training images of a CIFAR-10 archive."""
    bundled = load_bundled()
    train = Subset(CifarArchive(archive, "train"), count)
    images = (train.image(index, bundled.resolution).numpy() for index in range(count))
    network = quantize(bundled.model, images, name="efficientvit_b0_cifar10_r64", classes=bundled.classes,
                       settings=settings, mean=bundled.mean, std=bundled.std)
    source = f"CIFAR-10 training images, {count} evenly spaced"
    return network.with_metadata(calibration_source=source, recipe=bundled.recipe)


def main(arguments: list[str] | None = None) -> None:
    """Quantize the bundled network, measure it, write it."""
    parser = argparse.ArgumentParser(prog="python -m golden.quantization.bundle", description=main.__doc__)
    parser.add_argument("archive", help="CIFAR-10 as JPEG in an .npz archive")
    parser.add_argument("--output", type=Path, default=QUANTIZED_PATH, help="file to write")
    parser.add_argument("--calibration", type=int, default=CALIBRATION_IMAGES, help="training images for calibration")
    parser.add_argument("--test", type=int, help="measure on N evenly spaced test images (default: all)")
    parser.add_argument("--processes", type=int, default=2, help="worker processes")
    options = parser.parse_args(arguments)
    try:
        test = CifarArchive(options.archive, "test")
        test = Subset(test, len(test) if options.test is None else options.test)
        network = quantize_bundled(options.archive, options.calibration)
        bundled = load_bundled()
        right, seen = count_correct(float_predictor(bundled.model), test, bundled.resolution)
        print(f"float   top-1 {100 * right / seen:.2f} % ({right} of {seen} images)")

        def progress(correct, count):
            if count % 1000 == 0:
                print(f"integer {correct} of {count} right", flush=True)

        with integer_predictor(network, options.processes) as predict:
            correct, _ = count_correct(predict, test, bundled.resolution, progress=progress)
        print(f"integer top-1 {100 * correct / seen:.2f} % ({correct} of {seen} images)")
        measured = {"test_images": seen, "float_top1": 100 * right / seen, "integer_top1": 100 * correct / seen}
        save_network(network.with_metadata(**measured), options.output)
    except (DatasetError, ImageError, QuantizationError, ValueError, OSError) as error:
        parser.exit(2, f"error: {error}\n")
    print(f"wrote {options.output.name} ({options.output.stat().st_size} bytes)")


if __name__ == "__main__":
    main()
