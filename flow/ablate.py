"""Quantize one float network in many ways, and measure each as an integer network on the same labelled images.

MODEL as for 'triovit quantize'. Variants are the rows of the papers' ablation tables (--list prints them); by default
all. Results go to --output as they come: the same command continues an interrupted ablation.

  triovit ablate bundled --calibration cifar10_jpeg.npz --data cifar10_jpeg.npz -o cifar.json
  triovit ablate b0.pt --calibration train/ --data val/ --variants "trio; trio without migration; m2" -o b0.json
  triovit ablate b0.pt --calibration train/ --data val/ --processes 8 -o b0.json
  triovit ablate b0.pt --calibration train/ --data val/ --scheduler tcp://10.0.0.1:8786 -o b0.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from flow.arguments import MOST_IMAGES, add_seed_option, resolution, whole
from flow.errors import UsageError
from flow.evaluate import MOST_PROCESSES, find_float, match_data
from flow.output import check_replaceable, say, show, steps, table, write_json
from golden.evaluation.ablation import Result, Subject, ablate, float_predictions
from golden.evaluation.accuracy import TOP, Share
from golden.evaluation.identity import CODE, code_hash, data_hash, network_hash
from golden.quantization.calibration.images import calibration_images, image_hash
from golden.quantization.variants import VARIANTS, find_variant


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", nargs="?", metavar="MODEL", help="checkpoint file, 'bundled', or PRESET-rRESOLUTION")
    parser.add_argument(
        "--calibration", metavar="PATH", help="images for the quantizer: a folder, or a CIFAR-10 archive"
    )
    parser.add_argument("--data", metavar="DATA", help="labelled images: a folder with a folder a class, or an archive")
    parser.add_argument("-o", "--output", metavar="FILE", help="JSON file of results, continued if it is there")
    parser.add_argument("--variants", metavar="NAMES", help="separated by semicolons (default: all)")
    parser.add_argument("--list", action="store_true", help="print the variants and what they set, and stop")
    parser.add_argument(
        "--images", type=whole(1, MOST_IMAGES), metavar="N", help="evenly spaced images of DATA (default: all)"
    )
    parser.add_argument(
        "--calibration-images", type=whole(1, MOST_IMAGES), default=256, metavar="N", help="default %(default)s"
    )
    parser.add_argument("--classes", metavar="FILE", help="names of the network's outputs, one a line")
    parser.add_argument(
        "--resolution", type=resolution, help="input side in pixels of a checkpoint (default: its file's, else 224)"
    )
    parser.add_argument("--networks", metavar="DIR", help="keep the quantized networks in this folder")
    add_seed_option(parser, "the choice of calibration images: 0 takes evenly spaced ones")
    parser.add_argument(
        "--processes", type=whole(1, MOST_PROCESSES), default=1, metavar="P", help="worker processes, a variant each"
    )
    parser.add_argument("--scheduler", metavar="ADDRESS", help="Dask scheduler of a cluster, tcp://host:port")


def execute(options) -> int:
    if options.list:
        table("variants", [("variant", "left"), ("settings", "left")],
              [[name, _changed(settings)] for name, settings in VARIANTS.items()])
        return 0
    for name in ("network", "calibration", "data", "output"):
        if not getattr(options, name):
            raise UsageError(f"{'MODEL' if name == 'network' else '--' + name} is missing; --list needs none")
    check_replaceable("--output", options.output)
    names = [name.strip() for name in (options.variants or ";".join(VARIANTS)).split(";") if name.strip()]
    variants = {name: find_variant(name) for name in names}
    subject, header = _prepare(options)
    results = _earlier(options.output, header)
    say(f"calibrating on {len(subject.calibration)} images of {options.calibration}")
    if kept := [name for name in variants if name in results]:
        say(f"{options.output}: {len(kept)} of {len(variants)} variants are there already")
    with steps("float network") as update:
        predictions = float_predictions(subject, lambda done, total: update("float network", done, total))
    images = len(predictions)
    base = predictions.accuracy()
    results["float"] = {"name": "float", "images": images, "top1": base.correct,
                        "top5": predictions.accuracy(TOP).correct}
    missing = {name: settings for name, settings in variants.items() if name not in results}
    with steps("variants") as update:
        def keep(result: Result) -> None:
            results[result.name] = result.to_dict()
            write_json(options.output, {**header, "results": list(results.values())})
            say(f"{result.name}: {Share(result.top1, images).percent:.2f} %")
            update("variants", sum(name in results for name in variants), len(variants))

        update("variants", len(kept), len(variants))
        ablate(subject, predictions, missing, scheduler=options.scheduler, processes=options.processes, done=keep)
    _show(options, results, variants, base)
    write_json(options.json, {**header, "results": list(results.values())})
    return 0


def _prepare(options) -> tuple[Subject, dict]:
    """The subject, and what its results depend on."""
    model, facts = find_float(options)
    images = calibration_images(options.calibration, options.calibration_images, model.resolution, options.seed)
    with steps("reading calibration images") as update:
        pixels = []
        for image in images:
            pixels.append(image)
            update("reading calibration images", len(pixels), len(images))
    dataset, names = match_data(options, model.n_classes, facts.classes)
    networks = Path(options.networks) if options.networks else None
    if networks:
        networks.mkdir(parents=True, exist_ok=True)
    classes = names if len(names) == model.n_classes else ()
    subject = Subject(model, np.stack(pixels), dataset, facts.mean, facts.std, classes, networks)
    header = {"model": network_hash(model), "calibration": image_hash(np.stack(pixels)),
              "data": data_hash(options.data), "images": len(dataset), "code": code_hash((*CODE, "quantization"))}
    return subject, header


def _earlier(path: str, header: dict) -> dict[str, dict]:
    """Results by name of an earlier run of the same ablation."""
    if not Path(path).exists():
        return {}
    try:
        report = json.loads(Path(path).read_text())
        found = {result["name"]: result for result in report["results"]}
    except (ValueError, KeyError, TypeError):
        raise UsageError(f"--output {path}: is no result of 'triovit ablate'") from None
    different = [name for name, value in header.items() if report.get(name) != value]
    if different:
        raise UsageError(f"--output {path}: holds results of another {', '.join(different)}; give another file")
    return found


def _changed(settings) -> str:
    """What differs from the defaults."""
    default = type(settings)().to_dict()
    return ", ".join(f"{name}={value}" for name, value in settings.to_dict().items() if value != default[name])


def _show(options, results: dict[str, dict], variants: dict, base: Share) -> None:
    rows = [["float", f"{base.percent:.2f}", "", f"{Share(results['float']['top5'], base.images).percent:.2f}", "", ""]]
    for name in variants:
        result = results[name]
        share = Share(result["top1"], result["images"])
        rows.append([name, f"{share.percent:.2f}", f"{share.percent - base.percent:+.2f}",
                     f"{Share(result['top5'], result['images']).percent:.2f}",
                     f"{Share(result['agreement'], result['images']).percent:.2f}", f"{result['seconds']:.0f}"])
    table(f"{options.network} on {base.images:,} images of {options.data}, integer networks",
          [("variant", "left"), ("top-1 %", "right"), ("points", "right"), (f"top-{TOP} %", "right"),
           ("as float %", "right"), ("seconds", "right")], rows)
    show(f"results in {options.output}")
