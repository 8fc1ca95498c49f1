"""Quantize one float network in many ways, and measure each as an integer network on the same labelled images.

MODEL as for 'triovit quantize'. Variants are the rows of the papers' ablation tables (--list prints them); by default
all. A variant followed by settings is one of your own. Results go to --output as they come: the same command continues
an interrupted ablation.

  triovit ablate bundled --calibration cifar10_jpeg.npz --data cifar10_jpeg.npz -o cifar.json
  triovit ablate b0.pt --calibration train/ --data val/ --variants "trio; trio without migration; m2" -o b0.json
  triovit ablate b0.pt --calibration train/ --data val/ -o sweep.json \\
      --variants "trio, observer=percentile, percentile=99.9; trio, observer=lp"
  triovit ablate b0.pt --calibration train/ --data val/ --processes 8 -o b0.json
  triovit ablate b0.pt --calibration train/ --data val/ --scheduler tcp://10.0.0.1:8786 -o b0.json
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np

from triovit.flow.arguments import (
    MOST_IMAGES,
    Input,
    Output,
    add_classes_option,
    add_float_options,
    add_parallel_options,
    add_seed_option,
    whole,
)
from triovit.flow.broken_images import add_skip_option, to_json, told_to_skip, without_broken
from triovit.flow.errors import UsageError
from triovit.flow.evaluate import match_data
from triovit.flow.float_networks import Given, find_float
from triovit.flow.output import check_replaceable, say, show, table, write_json
from triovit.flow.progress import steps
from triovit.golden.evaluation.accuracy import TOP, Share
from triovit.golden.evaluation.journal import identity_key
from triovit.golden.identity import CODE, code_hash, data_hash, network_hash
from triovit.golden.quantization.ablation import Experiment, Result, ablate, file_name, float_predictions
from triovit.golden.quantization.calibration.images import calibration_images, image_hash
from triovit.golden.quantization.variants import VARIANTS, find_variant

FLOAT = "float"  # name of the result of the network that is quantized


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "network", type=Input, nargs="?", metavar="MODEL", help="checkpoint file, 'bundled', or PRESET-rRESOLUTION"
    )
    parser.add_argument(
        "--calibration", type=Input, metavar="PATH", help="images for the quantizer: a folder or an archive"
    )
    parser.add_argument(
        "--data", type=Input, metavar="DATA", help="labelled images: a folder with a folder per class, or an archive"
    )
    parser.add_argument(
        "-o", "--output", type=Output, metavar="FILE", help="JSON file of results, continued if it is there"
    )
    parser.add_argument("--variants", metavar="NAMES", help="separated by semicolons (default: all)")
    parser.add_argument("--list", action="store_true", help="print the variants and what they set, and stop")
    parser.add_argument(
        "--images", type=whole(1, MOST_IMAGES), metavar="N", help="evenly spaced images of DATA (default: all)"
    )
    parser.add_argument(
        "--calibration-images", type=whole(1, MOST_IMAGES), default=256, metavar="N", help="default %(default)s"
    )
    add_skip_option(parser)
    add_classes_option(parser, "to match with DATA's folders")
    add_float_options(parser)
    parser.add_argument("--networks", metavar="DIR", help="keep the quantized networks in this folder")
    add_seed_option(parser, "the choice of calibration images: 0 takes evenly spaced ones")
    add_parallel_options(parser, "worker processes, a variant each")


def execute(options) -> int:
    if options.list:
        width = max(map(len, VARIANTS))
        for name, settings in VARIANTS.items():
            show(f"{name:{width}}  {_changed(settings)}")
        return 0
    for name in ("network", "calibration", "data", "output"):
        if not getattr(options, name):
            raise UsageError(f"{'MODEL' if name == 'network' else '--' + name} is missing; --list needs none")
    check_replaceable("--output", options.output)
    names = list(VARIANTS) if options.variants is None else options.variants.split(";")
    variants = {name: find_variant(name) for name in map(str.strip, names) if name}
    if not variants:
        raise UsageError(f"--variants {options.variants}: names no variant")
    experiment, header, passed_over = _prepare(options)
    results = _earlier(options.output, header)
    say(f"calibrating on {len(experiment.calibration)} images of {options.calibration}")
    kept = [name for name in variants if name in results and _has_network(experiment, name)]
    if kept:
        say(f"{options.output}: {len(kept)} of {len(variants)} variants are there already")
    with told_to_skip(), steps("float network") as update:
        predictions = float_predictions(experiment, lambda done, total: update("float network", done, total))
    images = len(predictions)
    results[FLOAT] = Result(
        FLOAT, images, predictions.accuracy().correct, predictions.accuracy(TOP).correct, images, 0.0, FLOAT
    )
    missing = {name: settings for name, settings in variants.items() if name not in kept}

    def contents() -> dict:
        return {**header, **passed_over, "results": [result.to_dict() for result in results.values()]}

    with steps("variants") as update:

        def keep(result: Result) -> None:
            results[result.name] = result
            kept.append(result.name)
            write_json(options.output, contents())
            say(f"{result.name}: {Share(result.top1, images).percent:.2f} %")
            update("variants", len(kept), len(variants))

        update("variants", len(kept), len(variants))
        ablate(experiment, predictions, missing, scheduler=options.scheduler, processes=options.processes, done=keep)
    _show(options, [results[name] for name in (FLOAT, *variants)])
    write_json(options.json, contents())
    return 0


def _prepare(options) -> tuple[Experiment, dict, dict]:
    """The experiment, what its results depend on, and images that were passed over."""
    model, facts = find_float(options.network, Given.by(options), options.seed)
    images = calibration_images(
        options.calibration, options.calibration_images, model.resolution, options.seed, facts.crop
    )
    chosen, broken_calibration = without_broken(images.images, model.resolution, options.skip_broken)
    images = dataclasses.replace(images, images=chosen)
    with told_to_skip(), steps("reading calibration images") as update:
        pixels = []
        for image in images:
            pixels.append(image)
            update("reading calibration images", len(pixels), len(images))
    dataset = match_data(options, model.n_classes, facts.classes)
    dataset, broken = without_broken(dataset, model.resolution, options.skip_broken)
    networks = Path(options.networks).resolve() if options.networks else None  # workers run in other folders
    if networks:
        networks.mkdir(parents=True, exist_ok=True)
    experiment = Experiment(model, pixels, dataset, facts.mean, facts.std, dataset.classes, networks, facts.crop)
    header = {
        "model": network_hash(model),
        "calibration": image_hash(np.stack(pixels)),
        "data": data_hash(options.data),
        "images": len(dataset),
        "classes": identity_key({"names": dataset.classes}),
        "mean": list(facts.mean),
        "std": list(facts.std),
        "crop": facts.crop,
        "code": code_hash((*CODE, "quantization")),
    }
    told = {"broken": to_json(broken), "broken_calibration": to_json(broken_calibration)}
    return experiment, header, told if options.skip_broken else {}


def _has_network(experiment: Experiment, name: str) -> bool:
    """Whether a variant's network is in the folder of networks, if there is to be one."""
    return experiment.networks is None or (experiment.networks / file_name(name)).is_file()


def _earlier(path: str, header: dict) -> dict[str, Result]:
    """Results by name of an earlier run of the same ablation."""
    if not Path(path).exists():
        return {}
    try:
        report = json.loads(Path(path).read_text(encoding="utf-8"))
        found = {values["name"]: Result.from_dict(values) for values in report["results"]}
    except (ValueError, KeyError, TypeError):
        raise UsageError(f"--output {path}: is no result of 'triovit ablate'") from None
    different = [name for name, value in header.items() if report.get(name) != value]
    if different:
        raise UsageError(f"--output {path}: holds results of another {', '.join(different)}; give another file")
    return found


def _changed(settings) -> str:
    """What differs from the defaults."""
    default = type(settings)()
    values = dataclasses.asdict(settings)
    return ", ".join(f"{name}={value}" for name, value in values.items() if value != getattr(default, name))


def _show(options, results: list[Result]) -> None:
    """A table; the first result is the float network's."""
    rows, base = [], results[0]
    for result in results:
        top1, top5, same = (
            Share(count, result.images).percent for count in (result.top1, result.top5, result.agreement)
        )
        points = top1 - Share(base.top1, base.images).percent
        rows.append(
            [result.name, f"{top1:.2f}", f"{points:+.2f}", f"{top5:.2f}", f"{same:.2f}", f"{result.seconds:.0f}"]
        )
    table(
        f"{options.network} on {base.images:,} images of {options.data}, integer networks",
        [
            ("variant", "left"),
            ("top-1 %", "right"),
            ("points", "right", 2),
            (f"top-{TOP} %", "right", 1),
            ("as float %", "right", 3),
            ("seconds", "right", 0),
        ],
        rows,
    )
    show(f"results in {options.output}")
