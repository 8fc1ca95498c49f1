"""Tell all about a quantized network in one HTML file: errors, ranges, weights, divisors, saturation.

NETWORK is a file of 'triovit quantize' or 'bundled'. Weights are told from it alone. With --data the integer network
runs over some images: ranges of activations, divisors, saturation. With the float network as well (--model; 'bundled'
brings its own) every layer's error. The file has its plots inside and needs no network, script or font.

  triovit report quantization bundled --data cifar10_jpeg.npz -o report.html
  triovit report quantization b0.safetensors --model b0.pt --data imagenet/val --accuracy b0.json -o b0.html
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

from triovit.flow import broken_images
from triovit.flow.arguments import Input, Output, add_seed_option, add_weights_option, whole
from triovit.flow.errors import UsageError
from triovit.flow.file_kinds import NETWORK, check_kind
from triovit.flow.float_networks import Given, find_float
from triovit.flow.images import read_images
from triovit.flow.network_names import BUNDLED
from triovit.flow.networks import find_network
from triovit.flow.output import check_replaceable, say, show, write_json
from triovit.flow.progress import steps
from triovit.golden.assets import INTEGER_NETWORK
from triovit.golden.data.folders import Subset
from triovit.golden.data.sources import open_images
from triovit.golden.files import whole_file
from triovit.golden.network.facts import crop_of
from triovit.golden.quantization.settings import QuantizationError
from triovit.golden.report.findings import Accuracy, ReportSubject, find
from triovit.golden.report.report import report, to_json

IMAGES = 32
MOST_IMAGES = 10_000  # all are in memory at once
KINDS = ("quantization",)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=KINDS, metavar="KIND", help="what to report about: quantization")
    parser.add_argument(
        "network",
        type=Input,
        metavar="NETWORK",
        help="a quantized network (.safetensors from 'triovit quantize'), or 'bundled'",
    )
    parser.add_argument("-o", "--output", type=Output, required=True, metavar="FILE", help="report to write (.html)")
    parser.add_argument(
        "--model",
        type=Input,
        metavar="MODEL",
        help="float network that was quantized: a checkpoint, 'bundled', or PRESET-rRESOLUTION",
    )
    parser.add_argument(
        "--data", type=Input, metavar="PATH", help="images: a folder or an archive (of CIFAR-10 its test part)"
    )
    parser.add_argument(
        "--images", type=whole(1, MOST_IMAGES), metavar="N", help=f"evenly spaced images of --data (default {IMAGES})"
    )
    parser.add_argument(
        "--accuracy",
        type=Input,
        nargs="+",
        default=[],
        metavar="FILE",
        help="reports of 'triovit evaluate --json FILE'",
    )
    add_weights_option(parser)
    broken_images.add_skip_option(parser)
    add_seed_option(parser, "random weights of --model PRESET-rRESOLUTION")


def execute(options) -> int:
    check_replaceable("--output", options.output)
    if options.images and not options.data:
        raise UsageError("--images goes with --data")
    path = INTEGER_NETWORK if options.network == BUNDLED else Path(options.network)
    check_kind(path, NETWORK)
    if not path.is_file():
        raise UsageError(f"no quantized network {options.network!r}: give a file of 'triovit quantize', or 'bundled'")
    network, data = find_network(options.network), path.read_bytes()
    accuracies = tuple(read_accuracy(file) for file in options.accuracy)
    model = options.model or (BUNDLED if options.network == BUNDLED else None)
    if options.weights and not model:
        raise UsageError("--weights goes with --model")
    given = Given.of(network, options.network, options.weights)
    model = find_float(model, given, options.seed)[0] if model else None
    pixels, told, broken = None, "", ()
    if options.data:
        images = open_images(options.data, "test")
        images = Subset(images, min(options.images or IMAGES, len(images)))
        images, broken = broken_images.without_broken(images, network.input_shape[1], options.skip_broken)
        pixels = read_images(images, network.input_shape[1], crop_of(network.metadata))
        told = Path(options.data).resolve().name
    subject = ReportSubject(
        network, path.name, hashlib.sha256(data).hexdigest(), len(data), model, pixels, told, accuracies
    )
    try:
        with steps("looking") as update:
            findings = find(subject, update)
    except QuantizationError as error:
        raise QuantizationError(f"{options.network}: {error}") from None
    for sentence in dict.fromkeys(text for texts in findings.lacking.values() for text in texts):
        say(f"not everything is shown, for want of: {sentence}")
    text = report(subject, findings).encode("utf-8", "replace")  # names of files may be no text
    with whole_file(options.output) as partial:
        partial.write_bytes(text)
    show(f"wrote {options.output} ({len(text):,} bytes)")
    write_json(options.json, {**to_json(subject, findings), "broken": broken_images.to_json(broken)})
    return 0


def read_accuracy(path: str) -> Accuracy:
    """What a JSON report of 'triovit evaluate' says; raises UsageError for another file."""
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
        what = f"{Path(values['network']).name} ({values['backend']})"
        images, top1, top5 = values["images"], values["top1"], values["top5"]
        if type(images) is not int or images < 1:
            raise ValueError
        numbers = [float(value) for value in (top1["percent"], top1["standard_error"], top5["percent"])]
        if not all(0 <= value <= 100 for value in numbers):
            raise ValueError
        return Accuracy(
            what,
            Path(values["data"]).name,
            images,
            numbers[0],
            numbers[1],
            numbers[2] if len(values["classes"]) > 5 else None,
            floating=values["backend"] == "float",
        )
    except (KeyError, TypeError, ValueError):
        raise UsageError(f"--accuracy {path}: must be a report of 'triovit evaluate --json FILE'") from None
