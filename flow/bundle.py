"""Quantize the bundled float network anew, measure both networks, and write the quantized one that ships.

ARCHIVE is CIFAR-10 in a data file (.npz, see 'triovit data'). Calibration uses evenly spaced training images; then
both networks are measured on the test images, and the file's metadata records all of it.

  triovit bundle cifar10_jpeg.npz -o golden/assets/efficientvit_b0_cifar10_r64.int8.safetensors
  triovit bundle cifar10_jpeg.npz -o try.safetensors --calibration 64 --test 500
"""

from __future__ import annotations

import argparse
from pathlib import Path

from triovit.flow.arguments import MOST_IMAGES, Input, Output, add_parallel_options, whole
from triovit.flow.errors import UsageError
from triovit.flow.output import check_replaceable, show, write_json
from triovit.flow.progress import steps
from triovit.golden.assets import INTEGER_NETWORK
from triovit.golden.data.archives import CifarArchive
from triovit.golden.data.classes import match_classes
from triovit.golden.data.folders import Subset
from triovit.golden.evaluation.evaluate import evaluate
from triovit.golden.evaluation.predictors import FloatPredictor, IntegerPredictor
from triovit.golden.integer.network import IntegerNetwork
from triovit.golden.integer.serialize import save_network
from triovit.golden.network.bundled import load_bundled
from triovit.golden.quantization.calibration.images import calibration_images
from triovit.golden.quantization.methods import find_method
from triovit.golden.quantization.quantize import quantize

CALIBRATION_IMAGES = 512
NAME = INTEGER_NETWORK.name.partition(".")[0]


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("archive", type=Input, metavar="ARCHIVE", help="CIFAR-10 in a data file (.npz)")
    parser.add_argument(
        "-o", "--output", type=Output, required=True, metavar="FILE", help="quantized network to write (.safetensors)"
    )
    images = whole(1, MOST_IMAGES)
    parser.add_argument(
        "--calibration",
        type=images,
        default=CALIBRATION_IMAGES,
        metavar="N",
        help="training images for calibration (default %(default)s)",
    )
    parser.add_argument("--test", type=images, metavar="N", help="evenly spaced test images to measure (default: all)")
    add_parallel_options(parser, "worker processes that measure")


def quantize_bundled(archive, count: int = CALIBRATION_IMAGES, method: str = "trio", progress=None) -> IntegerNetwork:
    """The bundled float network quantized with `count` evenly spaced training images of a CIFAR-10 archive.

    progress: as of `quantize`.
    """
    bundled = load_bundled()
    network = quantize(
        bundled.model,
        calibration_images(archive, count, bundled.resolution),
        name=NAME,
        classes=bundled.classes,
        settings=find_method(method),
        mean=bundled.mean,
        std=bundled.std,
        progress=progress,
    )
    return network.with_metadata(method=method, recipe=bundled.recipe)


def execute(options) -> int:
    check_replaceable("--output", options.output)
    bundled = load_bundled()
    test, _ = match_classes(
        CifarArchive(options.archive, "test"), bundled.classes, len(bundled.classes), options.archive
    )
    if options.test is not None and options.test > len(test):
        raise UsageError(f"--test must lie in 1..{len(test)} for this archive, not {options.test}")
    test = Subset(test, options.test or len(test))
    with steps("calibrating") as update:
        network = quantize_bundled(options.archive, options.calibration, progress=update)
    measured: dict[str, int | float] = {"test_images": len(test)}
    predictors = {
        "float": FloatPredictor(bundled.model, bundled.mean, bundled.std),
        "integer": IntegerPredictor(network),
    }
    for name, predictor in predictors.items():
        with steps(name) as update:
            found = evaluate(
                predictor,
                test,
                scheduler=options.scheduler,
                processes=options.processes,
                progress=lambda right, done, total, name=name, update=update: update(
                    f"{name} {right} right", done, total
                ),
            )
        top1 = found.accuracy()
        show(f"{name} top-1 {top1.percent:.2f} % ({top1.correct} of {top1.images} images)")
        measured[f"{name}_top1"] = top1.percent
    save_network(network.with_metadata(**measured), options.output)
    show(f"wrote {options.output} ({Path(options.output).stat().st_size} bytes)")
    write_json(options.json, {"output": options.output, "calibration_images": options.calibration, **measured})
    return 0
