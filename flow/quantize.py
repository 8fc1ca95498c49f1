"""Quantize a float network to the integer network that the hardware runs (safetensors + JSON, never pickle).

MODEL is a checkpoint (.pt, .pth or .safetensors, official or timm names), 'bundled', or PRESET-rRESOLUTION such as
b1-r224 for seeded random weights. Classes, resolution, mean, std and crop are those in a .safetensors file's metadata,
else given or assumed, and printed. Calibration images come from --data (a folder of images, with or without one per
class, a .zip or .tar of one, a data file of 'triovit data', or 'sample', the pictures that ship); only seeded weights
do without, with seeded random images.

--method sets everything below it, every single option changes one thing of the method:
  trio        Trio-ViT: 8 bits, channel-wise migration, filter-wise shifting, log2 divisors (the default)
  m2          M2-ViT: additive powers of two in half of the pointwise filters, 4-bit depthwise weights
  p2          P2-ViT: all scales powers of two, so that every requantization is a shift; smoothing
  m2+p2       both
  minmax, ema, percentile, omse   vanilla 8 bits, symmetric, a scale per tensor: the papers' baselines

  triovit quantize bundled --data sample -o b0.safetensors
  triovit quantize bundled --data cifar10_jpeg.npz --images 512 -o b0.safetensors
  triovit quantize b0.pt --data calibration/ --method m2 --reconstruction fast -o b0-m2.safetensors
  triovit quantize b2.pth --weights state_dict_ema --resolution 256 --crop 1 --data calibration/ -o b2.safetensors
  triovit quantize b0.pt --data calibration/ --no-migration --shifting none -o without.safetensors
  triovit quantize b1-r224 -o b1.safetensors
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from triovit.flow.arguments import (
    MOST_IMAGES,
    Input,
    Output,
    add_classes_option,
    add_float_options,
    add_seed_option,
    whole,
)
from triovit.flow.broken_images import add_skip_option, to_json, told_to_skip, without_broken
from triovit.flow.errors import UsageError
from triovit.flow.file_kinds import CHECKPOINT, check_kind
from triovit.flow.float_networks import Given, find_float
from triovit.flow.network_names import BUNDLED
from triovit.flow.output import check_replaceable, say, show, table, write_json
from triovit.flow.progress import steps
from triovit.golden.data.classes import read_classes
from triovit.golden.integer.family import family
from triovit.golden.integer.names import short_names
from triovit.golden.integer.serialize import save_network
from triovit.golden.quantization import settings as legal
from triovit.golden.quantization.calibration.images import calibration_images
from triovit.golden.quantization.effects import change
from triovit.golden.quantization.equalization import describe
from triovit.golden.quantization.methods import METHODS, find_method
from triovit.golden.quantization.quantize import quantize
from triovit.golden.quantization.reconstruction.result import BlockResult
from triovit.golden.quantization.settings import Settings

RANDOM_IMAGES = 32  # more would not change the ranges of seeded weights

CHOICES = {  # field of Settings: legal values, help
    "observer": (legal.OBSERVERS, "range of an activation from calibration"),
    "shifting": (legal.SHIFTING, "zero points per channel (filter-wise shifting) in inputs of pointwise layers"),
    "weight_observer": (legal.WEIGHT_OBSERVERS, "step of a filter"),
    "depthwise_bits": (legal.WEIGHT_BITS, "bits of depthwise weights"),
    "apot_exponent_bits": (legal.EXPONENT_BITS, "bits of each exponent of an additive-powers-of-two code"),
    "scales": (legal.SCALES, "ratios of scales: dyadic numbers, or powers of two"),
    "exponents": (legal.EXPONENTS, "of powers of two: the least error of four, or a fixed rounding"),
    "divisor": (legal.DIVISORS, "divisors of the attention; no hardware runs 'uniform'"),
    "reconstruction": (legal.RECONSTRUCTIONS, "learn weight rounding and activation scales block by block"),
}
NUMBERS = {
    "percentile": "upper end of the range, for --observer percentile",
    "momentum": "of the moving average, for --observer ema",
    "norm": "p of the L_p error, for --observer lp",
    "smoothing_exponent": "share of the imbalance that smoothing moves into the weights",
    "apot_share": "share of pointwise filters with additive powers of two",
}
SWITCHES = {
    "symmetric": "zero point 0 wherever shifting gives none",
    "migration": "a scale per channel for inputs of depthwise layers (channel-wise migration)",
    "head_scales": "a scale per head for q, k and v",
    "smoothing": "power-of-two factors between channels of pointwise inputs",
    "widening": "wider ranges of channels from fewer than 32 calibration images",
    "equalization": "power-of-two factors for outlier channels, where there are any",
    "attention_apot": "K of the product K^T V in additive powers of two",
    "bias_correction": "biases take back the mean error of rounded weights",
    "divisor_search": "log2 offset of a layer by its output error",
    "divisor_gain": "a gain per head against the mean error of the log2 rule",
}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Input, metavar="MODEL", help="checkpoint file, 'bundled', or PRESET-rRESOLUTION")
    parser.add_argument(
        "-o", "--output", type=Output, required=True, metavar="FILE", help="quantized network to write (.safetensors)"
    )
    add_classes_option(parser, "for the quantized network (default: what the checkpoint says, else --data's folders)")
    parser.add_argument(
        "--data",
        type=Input,
        metavar="PATH",
        help="calibration images: a folder, an archive, a data file (its training part), or 'sample'; seeded weights "
        "do without",
    )
    parser.add_argument(
        "--images", type=whole(1, MOST_IMAGES), default=256, metavar="N", help="calibration images (default 256)"
    )
    add_skip_option(parser)
    add_seed_option(parser, "random weights, and of the choice of images: 0 takes evenly spaced ones")
    add_float_options(parser)
    parser.add_argument("--method", choices=METHODS, default="trio", help="see above (default %(default)s)")
    group = parser.add_argument_group("what a method sets")
    for name, (values, text) in CHOICES.items():
        group.add_argument(_option(name), choices=values, type=type(values[0]), help=text)
    for name, text in NUMBERS.items():
        group.add_argument(_option(name), type=float, metavar="X", help=text)
    for name, text in SWITCHES.items():
        group.add_argument(_option(name), action=argparse.BooleanOptionalAction, help=text)


def settings_of(options) -> Settings:
    """The method's settings with every option that was given in their place; one without effect is refused."""
    given = {name: getattr(options, name) for name in (*CHOICES, *NUMBERS, *SWITCHES)}
    given = {name: value for name, value in given.items() if value is not None}
    return change(find_method(options.method), given | {"seed": options.seed})


def execute(options) -> int:
    check_replaceable("--output", options.output)
    settings = settings_of(options)
    if not options.data and (options.model == BUNDLED or Path(options.model).is_file()):
        check_kind(options.model, CHECKPOINT)
        raise UsageError(
            f"{options.model}: a trained network needs calibration images like those that it was trained on: give "
            "--data PATH, a folder or an archive of them (random images are for seeded weights only)"
        )
    model, facts = find_float(options.model, Given.by(options), options.seed)
    classes = read_classes(options.classes, model.n_classes) if options.classes else facts.classes
    count = options.images if options.data else min(options.images, RANDOM_IMAGES)
    images = calibration_images(options.data, count, model.resolution, options.seed, facts.crop)
    chosen, broken = without_broken(images.images, model.resolution, options.skip_broken)
    images = dataclasses.replace(images, images=chosen)
    say(f"calibrating on {images.description}" if options.data else f"no --data: calibrating on {images.description}")
    if not classes and len(images.classes) == model.n_classes:
        classes = images.classes
        say(f"{options.data}: {len(classes)} classes, as many as the network's outputs: names taken in this order")
    with told_to_skip(), steps("calibrating") as update:
        network = quantize(
            model,
            images,
            name=Path(options.model).stem,
            classes=classes,
            settings=settings,
            mean=facts.mean,
            std=facts.std,
            crop=facts.crop,
            progress=update,
        ).with_metadata(method=options.method)
    for tensor, channels in network.metadata.get("equalized", {}).items():
        say(f"{tensor}: outliers equalized ({describe(channels)})")
    for text in network.metadata.get("warnings", ()):
        say(f"warning: {text}")
    save_network(network, options.output)
    if blocks := network.metadata.get("reconstruction"):
        _tell_reconstruction([BlockResult(**block) for block in blocks])
    bounds, names = network.bounds(), short_names(network.shapes())
    widest = max(bounds, key=lambda bound: bound.bound)
    table(
        "accumulators: largest magnitude for any input, of 32 bits",
        [("layer", "left"), ("accumulation", "left"), ("bound", "right", 0), ("bits", "right")],
        [[names[b.node], b.operation, b.bound, b.bits] for b in bounds],
    )
    show(
        f"{options.output}: {len(network.nodes)} layers, family {family(network)}, "
        f"{Path(options.output).stat().st_size:,} bytes; "
        f"widest accumulator {widest.bits} of 32 bits ({widest.node})"
    )
    write_json(
        options.json,
        {
            "network": network.name,
            "family": family(network),
            "layers": len(network.nodes),
            "metadata": network.metadata,
            "broken": to_json(broken),
            "accumulators": [
                {"layer": b.node, "operation": b.operation, "bound": b.bound, "bits": b.bits} for b in bounds
            ],
        },
    )
    return 0


def _tell_reconstruction(blocks: list[BlockResult]) -> None:
    names = short_names(block.name for block in blocks)
    table(
        "reconstruction, on images of the calibration that were held out",
        [
            ("block", "left"),
            ("SQNR dB", "right"),
            ("gain dB", "right"),
            ("iterations", "right", 0),
            ("weights changed %", "right", 1),
            ("kept", "left", 2),
        ],
        [
            [names[b.name], f"{b.sqnr:.2f}", f"{b.gain:.2f}", b.iterations, f"{b.changed_percent:.2f}", b.kept]
            for b in blocks
        ],
    )


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
