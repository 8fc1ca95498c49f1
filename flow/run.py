"""Classify images with the float network, the integer model or the RTL.

examples:
  triovit run                                  the sample photo on the RTL
  triovit run --image dog.jpg --backend golden
  triovit run bundled --data cifar10_jpeg.npz --images 100
  triovit run b1.pt --backend float --resolution 224 --image dog.jpg
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from triovit.compiler.compile import compile_network
from triovit.flow.arguments import (
    add_image_options,
    add_resolution_option,
    add_seed_option,
    add_simulation_options,
    whole,
)
from triovit.flow.errors import UsageError
from triovit.flow.images import accuracy, find_sources, predict
from triovit.flow.output import say, show, table, write_json
from triovit.flow.rtl import build, read_logits, simulate
from triovit.flow.sources import BUNDLED, NETWORK_HELP, find_config, find_float, find_network
from triovit.golden.evaluation.predictors import FloatPredictor, IntegerPredictor


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "network",
        nargs="?",
        default=BUNDLED,
        metavar="NETWORK",
        help=NETWORK_HELP + "; with --backend float a checkpoint instead of a quantized network",
    )
    parser.add_argument("--backend", choices=("float", "golden", "rtl"), default="rtl", help="default %(default)s")
    add_image_options(parser)
    add_seed_option(parser)
    add_resolution_option(parser)
    parser.add_argument("--top", type=whole(1, 1000), default=5, metavar="N", help="classes to print (default 5)")
    add_simulation_options(parser)


def execute(options) -> int:
    started, cycles, scale = time.time(), None, 1.0
    if options.backend == "float":
        model, facts = find_float(options.network, options.resolution, options.seed)
        predictor, names = FloatPredictor(model, facts.mean, facts.std), facts.classes
    else:
        if options.resolution:
            raise UsageError("--resolution goes with --backend float; a quantized network has its own")
        config = find_config(options.config)
        network = find_network(options.network, options.seed)
        predictor, names = IntegerPredictor(network), network.classes
        scale = network.metadata.get("logit_scale", 1.0)
    sources, classes = find_sources(options, predictor.resolution, names, predictor.outputs)
    if options.backend == "rtl":
        machine = build(compile_network(network, config), options)
        runs = simulate(machine, sources)
        cycles = [run.cycles for run in runs]
        logits = read_logits(machine, runs, network.output, len(sources))
    else:
        logits = predict(predictor, sources)
    _report(options, sources, classes, logits, scale, cycles, time.time() - started)
    return 0


def _report(options, sources, classes, logits, scale, cycles, seconds) -> None:
    def name(k: int) -> str:
        return classes[k] if k < len(classes) else f"class {k}"

    report = {
        "backend": options.backend,
        "network": options.network,
        "cycles": cycles,
        "seconds": seconds,
        "logit_scale": scale,
        "images": [
            {"image": source.name, "class": name(int(row.argmax())), "logits": row.tolist()}
            for source, row in zip(sources, logits, strict=True)
        ],
    }
    if options.data:
        report["accuracy"] = accuracy(logits, sources)
        show(f"top-1 {report['accuracy']:.2f} % of {len(sources)} images ({options.backend})")
    else:
        order = np.argsort(-logits[0].astype(np.float64), kind="stable")[: options.top]
        table(
            f"{sources[0].name}: {name(int(order[0]))} ({options.backend})",
            [("class", "left"), ("logit", "right")],
            [[name(int(k)), f"{logits[0][k] * scale:.3f}"] for k in order],
        )
    if cycles:
        say(f"{sum(cycles):,} cycles on the RTL, {seconds:.1f} s in all")
    write_json(options.json, report)
