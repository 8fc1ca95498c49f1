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

from flow.output import console, say, steps, write_json
from flow.sources import BUNDLED, dataset_images, find_dataset, find_model
from golden.integer.bounds import accumulator_bounds
from golden.integer.serialize import save_network
from golden.network.bundled import load_bundled
from golden.quantization.calibrate import random_images
from golden.quantization.quantize import quantize
from golden.quantization.settings import METHODS, SHIFTING, Settings

SUMMARY = "quantize a float network"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="checkpoint file, 'bundled', or PRESET-rRESOLUTION")
    parser.add_argument(
        "-o", "--output", required=True, metavar="FILE", help="quantized network to write (.safetensors)"
    )
    parser.add_argument(
        "--resolution", type=int, default=None, help="input side in pixels of a checkpoint (default 224)"
    )
    parser.add_argument(
        "--data", metavar="PATH", help="calibration images: a folder, or a CIFAR-10 archive (its training part)"
    )
    parser.add_argument("--images", type=int, default=256, help="calibration images (default 256)")
    parser.add_argument("--seed", type=int, default=0, help="of random weights and images (default 0)")
    parser.add_argument(
        "--method", choices=METHODS, default=Settings.method, help="range of a tensor (default %(default)s)"
    )
    parser.add_argument("--percentile", type=float, default=Settings.percentile, help="for --method percentile")
    parser.add_argument(
        "--symmetric", action="store_true", help="zero point 0 wherever shifting gives none (the papers' setting)"
    )
    parser.add_argument("--no-migration", action="store_true", help="switch channel-wise migration off")
    parser.add_argument(
        "--shifting", choices=SHIFTING, default=Settings.shifting, help="filter-wise shifting (default %(default)s)"
    )


def execute(options) -> int:
    settings = Settings(
        method=options.method,
        percentile=options.percentile,
        symmetric=options.symmetric,
        migration=not options.no_migration,
        shifting=options.shifting,
    )
    model = find_model(options.model, options.resolution or 224, options.seed)
    classes: tuple[str, ...] = ()
    if options.data:
        dataset = find_dataset(options.data, "train")
        count = min(options.images, len(dataset))
        say(f"calibrating on {count} of {len(dataset)} images of {options.data}")
        images = [source.pixels for source in dataset_images(dataset, count, model.resolution)]
        classes = tuple(dataset.classes) if len(dataset.classes) == model.n_classes else ()
    else:
        say("no --data: calibrating on seeded random images")
        images = random_images(options.seed, min(options.images, 32), model.resolution)
    if options.model == BUNDLED:
        classes = load_bundled().classes
    name = Path(options.model).stem
    with steps("calibrating") as update:
        network = quantize(model, images, name=name, classes=classes, settings=settings, progress=update)
    save_network(network, options.output)
    bounds = accumulator_bounds(network)
    widest = max(bounds, key=lambda bound: bound.bound)
    console.print(
        f"{options.output}: {len(network.nodes)} layers, {Path(options.output).stat().st_size:,} bytes; "
        f"widest accumulator "
        f"{widest.bits} of 32 bits ({widest.node})",
        markup=False,
        soft_wrap=True,
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
