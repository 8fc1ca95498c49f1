"""Classify images with the float network, the integer model or the RTL.

examples:
  triovit run                                  the sample photo on the RTL
  triovit run --image dog.jpg --backend golden
  triovit run bundled --image dog.jpg cat.jpg photos/ --skip-broken --classes names.txt --backend golden
  triovit run bundled --data cifar10_jpeg.npz --images 100
  triovit run b1.pt --backend float --resolution 224 --image dog.jpg
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from triovit.compiler.compile import compile_network
from triovit.flow.arguments import (
    Input,
    add_classes_option,
    add_float_options,
    add_image_options,
    add_seed_option,
    add_simulation_options,
    refuse_float_options,
    whole,
)
from triovit.flow.broken_images import add_skip_option, left_out, to_json
from triovit.flow.configurations import find_config
from triovit.flow.images import accuracy, find_sources, predict
from triovit.flow.network_names import BUNDLED
from triovit.flow.networks import NETWORK_HELP, find_network
from triovit.flow.output import say, show, table, write_json
from triovit.flow.packages import has
from triovit.flow.progress import steps
from triovit.flow.rtl import build, read_logits, simulate
from triovit.golden.data.classes import read_classes
from triovit.golden.evaluation.evaluate import Predictor
from triovit.golden.evaluation.reference import ReferencePredictor
from triovit.golden.integer.network import IntegerNetwork


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "network",
        type=Input,
        nargs="?",
        default=BUNDLED,
        metavar="NETWORK",
        help=NETWORK_HELP + "; with --backend float a checkpoint instead of a quantized network",
    )
    parser.add_argument("--backend", choices=("float", "golden", "rtl"), default="rtl", help="default %(default)s")
    add_image_options(parser, several=True)
    add_skip_option(parser)
    add_classes_option(parser, "in the place of the network's own")
    add_seed_option(parser)
    add_float_options(parser, "checkpoint of --backend float")
    parser.add_argument(
        "--top", type=whole(1, 1000), default=5, metavar="N", help="classes to print of one image (default 5)"
    )
    add_simulation_options(parser)


def execute(options) -> int:
    started, cycles = time.time(), None
    if options.backend == "float":
        predictor, names = _float_predictor(options)
        scale = 1.0
    else:
        refuse_float_options(options)
        config = find_config(options.config)
        network = find_network(options.network, options.seed)
        predictor, names = _integer_predictor(network, options), network.classes
        scale = network.metadata.get("logit_scale", 1.0)
    if options.classes:
        names = read_classes(options.classes, predictor.outputs)
    sources, classes, broken = find_sources(options, predictor.resolution, predictor.crop, names, predictor.outputs)
    if options.backend == "rtl":
        with steps(f"compiling {network.name}"):
            program = compile_network(network, config)
        machine = build(program, options)
        runs = simulate(machine, sources)
        cycles = [run.cycles for run in runs]
        logits = read_logits(machine, runs, network.output, len(sources))
    else:
        logits = predict(predictor, sources)
    _report(options, sources, classes, logits, scale, cycles, time.time() - started, broken)
    return 0


def _float_predictor(options) -> tuple[Predictor, tuple[str, ...]]:
    from triovit.flow.float_networks import Given, find_float
    from triovit.golden.evaluation.predictors import FloatPredictor

    model, facts = find_float(options.network, Given.by(options), options.seed)
    return FloatPredictor(model, facts.mean, facts.std, facts.crop), facts.classes


def _integer_predictor(network: IntegerNetwork, options) -> Predictor:
    """The batch executor, which needs PyTorch, for data sets in the integer model; else the reference in NumPy. Several
    images are no data set: without PyTorch the reference runs them."""
    if options.backend != "golden" or not (options.data or (options.image and has("torch"))):
        return ReferencePredictor(network)
    from triovit.golden.evaluation.predictors import IntegerPredictor

    return IntegerPredictor(network)


def _report(options, sources, classes, logits, scale, cycles, seconds, broken) -> None:
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
        "broken": to_json(broken),
    }
    if options.data:
        report["accuracy"] = accuracy(logits, sources)
        show(f"top-1 {report['accuracy']:.2f} % of {len(sources)} images{left_out(broken)} ({options.backend})")
    elif len(sources) > 1 or broken:
        best = logits.argmax(axis=1)
        table(
            f"{len(sources)} images{left_out(broken)} ({options.backend})",
            [("image", "left"), ("class", "left"), ("logit", "right")],
            [
                [source.name, name(int(k)), f"{row[k] * scale:.3f}"]
                for source, row, k in zip(sources, logits, best, strict=True)
            ],
        )
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
