"""Measure the accuracy of a network on labelled images: top-1, top-5, confusions.

DATA is a folder with a folder per class, such as ImageNet's validation folder, a data file of 'triovit data' (its test
part), or 'sample', the pictures that ship. Predictions are kept in a journal as they are made: the same command
continues an interrupted evaluation, and prints the result of a finished one at once.

  triovit evaluate bundled --data sample
  triovit evaluate bundled --data cifar10_jpeg.npz --images 1000
  triovit evaluate b0.safetensors --data imagenet/val --processes 8 --confusion b0.png
  triovit evaluate b0.pt --backend float --resolution 224 --data imagenet/val --scheduler tcp://10.0.0.1:8786
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

from triovit.flow.arguments import (
    MOST_IMAGES,
    Input,
    Output,
    add_classes_option,
    add_float_options,
    add_parallel_options,
    add_seed_option,
    refuse_float_options,
    whole,
)
from triovit.flow.broken_images import add_skip_option
from triovit.flow.errors import UsageError
from triovit.flow.evaluation_report import report
from triovit.flow.float_networks import Given, find_float
from triovit.flow.images import find_labelled
from triovit.flow.network_names import BUNDLED
from triovit.flow.networks import NETWORK_HELP, find_network
from triovit.flow.output import check_replaceable, say
from triovit.flow.progress import steps
from triovit.golden.data.classes import read_classes
from triovit.golden.data.folders import Dataset
from triovit.golden.data.images import ImageError
from triovit.golden.data.sources import data_path
from triovit.golden.evaluation.accuracy import Predictions
from triovit.golden.evaluation.evaluate import BATCH, Predictor, evaluate
from triovit.golden.evaluation.journal import Journal, identity_key
from triovit.golden.evaluation.parallel import ParallelError
from triovit.golden.evaluation.predictors import FloatPredictor, IntegerPredictor
from triovit.golden.identity import code_hash, data_hash, network_hash
from triovit.golden.network.facts import Facts
from triovit.sim.cache import build_root

PICTURE_SUFFIX = ".png"
MOST_BATCH = 10_000


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "network",
        type=Input,
        nargs="?",
        default=BUNDLED,
        metavar="NETWORK",
        help=NETWORK_HELP + "; with --backend float a checkpoint instead of a quantized network",
    )
    parser.add_argument(
        "--data",
        type=Input,
        required=True,
        metavar="DATA",
        help="a folder per class, in a folder or archive, a data file, or 'sample'",
    )
    parser.add_argument(
        "--backend",
        choices=("float", "golden"),
        default="golden",
        help="the float network, or the integer model: the hardware's results (default %(default)s)",
    )
    parser.add_argument(
        "--images", type=whole(1, MOST_IMAGES), metavar="N", help="evenly spaced images of DATA (default: all)"
    )
    add_classes_option(parser, "to match with DATA's folders")
    add_float_options(parser, "checkpoint of --backend float")
    add_seed_option(parser)
    add_skip_option(parser)
    group = parser.add_argument_group("results")
    group.add_argument("--confusion", type=Output, metavar="FILE.png", help="write a picture of the confusion matrix")
    group.add_argument(
        "--journal",
        type=Output,
        metavar="FILE",
        help="where predictions are kept (default: evaluate/KEY.jsonl in $TRIOVIT_BUILD, else in build)",
    )
    group.add_argument("--fresh", action="store_true", help="drop the predictions of an earlier run")
    group = parser.add_argument_group("speed")
    add_parallel_options(
        group,
        "worker processes of one thread each (default: this process; of it the integer model "
        "uses one thread, the float network all)",
    )
    group.add_argument(
        "--batch",
        type=whole(1, MOST_BATCH),
        default=BATCH,
        metavar="N",
        help="images at once: a line of the journal, and a worker's task (default %(default)s)",
    )


@dataclass(frozen=True)
class Subject:
    """What is evaluated. classes: names of the outputs, empty if unknown. content: hash of the network."""

    predictor: Predictor
    classes: tuple[str, ...]
    content: str
    facts: Facts | None = None


def execute(options) -> int:
    if options.confusion and not options.confusion.endswith(PICTURE_SUFFIX):
        raise UsageError(f"--confusion must end in {PICTURE_SUFFIX}, not {options.confusion}")
    check_replaceable("--confusion", options.confusion)
    if options.journal and Path(options.journal).exists():  # else its folder may be missing too
        check_replaceable("--journal", options.journal)
    subject = _find_subject(options)
    dataset = match_data(options, subject.predictor.outputs, subject.classes)
    identity = _identity(options, subject, dataset)
    path = Path(options.journal) if options.journal else _journals() / f"{identity_key(identity)[:16]}.jsonl"
    with Journal(path, identity, len(dataset), subject.predictor.outputs, options.fresh) as journal:
        kept = sum(len(chunk.index) for chunk in journal.chunks)
        if 0 < kept < len(dataset):
            say(f"{path}: continuing after {kept:,} of {len(dataset):,} images")
        started = time.monotonic()
        predictions = _evaluate(options, subject.predictor, dataset, journal)
        seconds = time.monotonic() - started
    if predictions is None:
        return 130
    report(options, predictions, dataset.classes, new=len(predictions) - kept, seconds=seconds, journal=path)
    return 0


def _evaluate(options, predictor, dataset, journal) -> Predictions | None:
    """Predictions; None after an interrupt. Errors in the middle tell what has been kept."""
    kept = 0

    def hint() -> str:
        return f"{kept:,} of {len(dataset):,} images are kept in {journal.path}, the same command continues"

    with steps("evaluating") as update:

        def progress(right, done, total):
            nonlocal kept
            kept = done
            update(f"top-1 {100 * right / done:.2f} %" if done else "evaluating", done, total)

        try:
            return evaluate(
                predictor,
                dataset,
                batch=options.batch,
                journal=journal,
                skip_broken=options.skip_broken,
                scheduler=options.scheduler,
                processes=options.processes,
                progress=progress,
            )
        except KeyboardInterrupt:
            say(f"triovit evaluate: interrupted; {hint()}")
            return None
        except ImageError as error:
            raise ImageError(f"{error}; --skip-broken passes over such images") from None
        except ParallelError as error:
            raise ParallelError(f"{error}; {hint()}") from None


def _find_subject(options) -> Subject:
    if options.backend == "golden":
        refuse_float_options(options)
        network = find_network(options.network, options.seed)
        return Subject(IntegerPredictor(network), network.classes, network_hash(network))
    model, facts = find_float(options.network, Given.by(options), options.seed)
    predictor = FloatPredictor(model, facts.mean, facts.std, facts.crop)
    return Subject(predictor, facts.classes, network_hash(model), facts)


def match_data(options, outputs: int, classes: tuple[str, ...]) -> Dataset:
    """The images, with labels that are outputs of the network and names of all outputs; classes: of the network."""
    names = read_classes(options.classes, outputs) if options.classes else classes
    # Workers of a cluster read images by their paths, from other folders than this process.
    data = str(data_path(options.data).resolve()) if options.scheduler else options.data
    return find_labelled(data, options.images, names, outputs)


def _journals() -> Path:
    """Folder of journals that have no name, told as short as can be."""
    folder = build_root() / "evaluate"
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def _identity(options, subject: Subject, dataset: Dataset) -> dict:
    """All that predictions depend on; a journal of other values is not continued."""
    values = {
        "backend": options.backend,
        "network": subject.content,
        "resolution": subject.predictor.resolution,
        "crop": subject.predictor.crop,
        "data": data_hash(options.data),
        "images": len(dataset),
        "classes": identity_key({"names": dataset.classes}),
        "code": code_hash(),
    }
    if subject.facts:
        values |= {"mean": list(subject.facts.mean), "std": list(subject.facts.std)}
    return values
