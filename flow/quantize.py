"""Quantize a float EfficientViT to the integer network that the hardware runs (safetensors + JSON, never pickle).

MODEL is a checkpoint (.pt, .pth or .safetensors, official or timm names), 'bundled', or PRESET-rRESOLUTION such as
b1-r224 for seeded random weights. Calibration images come from --data (a folder with a folder a class, or
a CIFAR-10 JPEG archive); without it seeded random images are used, which only makes sense for seeded weights.

  triovit quantize bundled --data cifar10_jpeg.npz --images 512 -o b0.safetensors
  triovit quantize b1-r224 -o b1.safetensors
"""

from __future__ import annotations

import argparse
from pathlib import Path

from flow.arguments import MOST_IMAGES, add_seed_option, resolution, whole
from flow.images import dataset_images, find_dataset
from flow.output import check_replaceable, say, show, steps, table, write_json
from flow.sources import BUNDLED, find_model
from golden.integer.bounds import accumulator_bounds
from golden.integer.serialize import save_network
from golden.network.bundled import load_bundled
from golden.quantization.calibrate import random_images
from golden.quantization.quantize import quantize
from golden.quantization.settings import METHODS, SHIFTING, Settings

RANDOM_IMAGES = 32  # more would not change the ranges of seeded weights


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="checkpoint file, 'bundled', or PRESET-rRESOLUTION")
    parser.add_argument(
        "-o", "--output", required=True, metavar="FILE", help="quantized network to write (.safetensors)"
    )
    parser.add_argument(
        "--resolution", type=resolution, default=224, help="input side in pixels of a checkpoint (default %(default)s)"
    )
    parser.add_argument(
        "--data", metavar="PATH", help="calibration images: a folder, or a CIFAR-10 archive (its training part)"
    )
    parser.add_argument(
        "--images", type=whole(1, MOST_IMAGES), default=256, metavar="N", help="calibration images (default 256)"
    )
    add_seed_option(parser, "random weights and images")
    parser.add_argument(
        "--method", choices=METHODS, default=Settings.method, help="range of a tensor (default %(default)s)"
    )
    parser.add_argument(
        "--percentile", type=float, default=Settings.percentile, metavar="P", help="for --method percentile"
    )
    parser.add_argument(
        "--symmetric", action="store_true", help="zero point 0 wherever shifting gives none (the papers' setting)"
    )
    parser.add_argument("--no-migration", action="store_true", help="switch channel-wise migration off")
    parser.add_argument(
        "--shifting", choices=SHIFTING, default=Settings.shifting, help="filter-wise shifting (default %(default)s)"
    )


def execute(options) -> int:
    check_replaceable("--output", options.output)
    settings = Settings(
        method=options.method,
        percentile=options.percentile,
        symmetric=options.symmetric,
        migration=not options.no_migration,
        shifting=options.shifting,
    )
    model = find_model(options.model, options.resolution, options.seed)
    classes: tuple[str, ...] = ()
    if options.data:
        dataset = find_dataset(options.data, "train")
        count = min(options.images, len(dataset))
        images = [source.pixels for source in dataset_images(dataset, count, model.resolution)]
        say(f"calibrating on {count} of {len(dataset)} images of {options.data}")
        classes = tuple(dataset.classes) if len(dataset.classes) == model.n_classes else ()
    else:
        count = min(options.images, RANDOM_IMAGES)
        say(f"no --data: calibrating on {count} seeded random images")
        images = random_images(options.seed, count, model.resolution)
    if options.model == BUNDLED:
        classes = load_bundled().classes
    name = Path(options.model).stem
    with steps("calibrating") as update:
        network = quantize(model, images, name=name, classes=classes, settings=settings, progress=update)
    save_network(network, options.output)
    bounds = accumulator_bounds(network)
    widest = max(bounds, key=lambda bound: bound.bound)
    table(
        "accumulators: largest magnitude for any input, of 32 bits",
        [("layer", "left"), ("accumulation", "left"), ("bound", "right"), ("bits", "right")],
        [[b.node, b.operation, b.bound, b.bits] for b in bounds],
    )
    show(
        f"{options.output}: {len(network.nodes)} layers, {Path(options.output).stat().st_size:,} bytes; "
        f"widest accumulator {widest.bits} of 32 bits ({widest.node})"
    )
    write_json(
        options.json,
        {
            "network": network.name,
            "layers": len(network.nodes),
            "metadata": network.metadata,
            "accumulators": [
                {"layer": b.node, "operation": b.operation, "bound": b.bound, "bits": b.bits} for b in bounds
            ],
        },
    )
    return 0
