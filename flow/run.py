"""Classify images with the float network, the integer model or the RTL.

triovit run                                  the sample photo on the RTL
triovit run --image dog.jpg --backend golden
triovit run bundled --data cifar10_jpeg.npz --images 100
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from compiler.compile import compile_network
from flow.output import console, say, steps, table, write_json
from flow.simulate import add_simulation_options, build, simulate
from flow.sources import (
    BUNDLED,
    NETWORK_HELP,
    Source,
    dataset_images,
    find_dataset,
    find_image,
    find_model,
    find_network,
)
from golden.integer.execute import execute as execute_network
from golden.network.preprocess import normalize
from hdl.config import load_config

SUMMARY = "classify images on a backend"


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
    parser.add_argument(
        "--resolution", type=int, default=224, help="input side of a float checkpoint (default %(default)s)"
    )
    parser.add_argument("--top", type=int, default=5, help="classes to print (default %(default)s)")
    add_simulation_options(parser)


def add_image_options(parser: argparse.ArgumentParser) -> None:
    """Where images come from."""
    parser.add_argument(
        "--image", default="cat", metavar="FILE", help="image file; 'cat' is a public-domain sample photo (default)"
    )
    parser.add_argument(
        "--data", metavar="PATH", help="labelled images instead: a folder with a folder a class, or a CIFAR-10 archive"
    )
    parser.add_argument("--images", type=int, metavar="N", help="evenly spaced images of --data (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="of seeded weights (default 0)")


def find_sources(options, resolution: int) -> tuple[list[Source], tuple[str, ...]]:
    """The images that the options name, and the data set's class names."""
    if options.data:
        dataset = find_dataset(options.data, "test")
        return dataset_images(dataset, options.images, resolution), tuple(dataset.classes)
    return [find_image(options.image, resolution)], ()


def float_logits(model, sources: list[Source]) -> np.ndarray:
    """(images, classes) logits of the float network."""
    with torch.inference_mode():
        return np.concatenate([model(normalize(torch.from_numpy(source.pixels)[None])).numpy() for source in sources])


def golden_logits(network, sources: list[Source]) -> np.ndarray:
    """(images, classes) logits of the integer network."""
    logits = []
    with steps("integer model") as update:
        for done, source in enumerate(sources):
            update("integer model", done, len(sources))
            logits.append(execute_network(network, source.input)[network.output].reshape(-1))
    return np.stack(logits)


def accuracy(logits: np.ndarray, sources: list[Source]) -> float:
    """Top-1 in per cent."""
    return 100 * float(np.mean(logits.argmax(axis=1) == [source.label for source in sources]))


def execute(options) -> int:
    started, cycles = time.time(), None
    if options.backend == "float":
        model = find_model(options.network, options.resolution, options.seed)
        network, scale = None, 1.0
        sources, classes = find_sources(options, model.resolution)
        if options.network == BUNDLED:
            from golden.network.bundled import load_bundled

            classes = load_bundled().classes
        logits = float_logits(model, sources)
    else:
        network = find_network(options.network, options.seed)
        scale = network.metadata.get("logit_scale", 1.0)
        sources, classes = find_sources(options, network.input_shape[1])
        classes = network.classes or classes
        if options.backend == "golden":
            logits = golden_logits(network, sources)
        else:
            machine = build(compile_network(network, load_config(options.config)), options)
            runs = simulate(machine, sources)
            cycles = [run.cycles for run in runs]
            cores = machine.program.config.cores
            logits = np.stack(
                [machine.tensor(runs[k // cores], network.output, k % cores).reshape(-1) for k in range(len(sources))]
            )
    name = lambda k: classes[k] if k < len(classes) else f"class {k}"  # noqa: E731
    report = {
        "backend": options.backend,
        "network": options.network,
        "cycles": cycles,
        "seconds": time.time() - started,
        "images": [
            {"image": s.name, "class": name(int(row.argmax())), "logits": [float(v) for v in row]}
            for s, row in zip(sources, logits, strict=True)
        ],
    }
    if options.data:
        console.print(f"top-1 {accuracy(logits, sources):.2f} % of {len(sources)} images ({options.backend})")
        report["accuracy"] = accuracy(logits, sources)
    else:
        order = np.argsort(-logits[0].astype(np.float64), kind="stable")[: options.top]
        table(
            f"{sources[0].name}: {name(int(order[0]))} ({options.backend})",
            [("class", "left"), ("logit", "right")],
            [[name(int(k)), f"{logits[0][k] * scale:.3f}"] for k in order],
        )
    if cycles:
        say(f"{sum(cycles):,} cycles on the RTL, {time.time() - started:.1f} s in all")
    write_json(options.json, report)
    return 0
