"""Measure the accuracy of a network on labelled images: top-1, top-5, confusions.

DATA is a folder with a folder a class, such as ImageNet's validation folder, or a CIFAR-10 JPEG archive (its test
part). Predictions are kept in a journal as they are made: the same command continues an interrupted evaluation, and
prints the result of a finished one at once.

  triovit evaluate bundled --data cifar10_jpeg.npz --images 1000
  triovit evaluate b0.safetensors --data imagenet/val --processes 8 --confusion b0.png
  triovit evaluate b0.pt --backend float --resolution 224 --data imagenet/val --scheduler tcp://10.0.0.1:8786
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

from flow.arguments import MOST_IMAGES, add_seed_option, resolution, whole
from flow.errors import UsageError
from flow.evaluation_report import report
from flow.images import find_dataset
from flow.output import check_replaceable, say, steps
from flow.sources import BUNDLED, NETWORK_HELP, SEEDED, find_model, find_network
from golden.evaluation.accuracy import Predictions
from golden.evaluation.classes import match_classes, read_classes
from golden.evaluation.evaluate import BATCH, Predictor, evaluate
from golden.evaluation.facts import Facts, read_facts
from golden.evaluation.identity import code_hash, data_hash, network_hash
from golden.evaluation.journal import Journal, identity_key
from golden.evaluation.parallel import ParallelError
from golden.evaluation.predictors import FloatPredictor, IntegerPredictor
from golden.network.bundled import load_bundled
from golden.network.datasets import Dataset, Subset
from golden.network.efficientvit import EfficientViT
from golden.network.preprocess import ImageError

JOURNALS = Path("build/evaluate")
PICTURE_SUFFIX = ".png"
DEFAULT_RESOLUTION = 224
MOST_BATCH = 10_000
MOST_PROCESSES = 1024


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "network", nargs="?", default=BUNDLED, metavar="NETWORK",
        help=NETWORK_HELP + "; with --backend float a checkpoint instead of a quantized network",
    )
    parser.add_argument(
        "--data", required=True, metavar="DATA", help="a folder with a folder a class, or a CIFAR-10 archive"
    )
    parser.add_argument(
        "--backend", choices=("float", "golden"), default="golden",
        help="the float network, or the integer model: the hardware's results (default %(default)s)",
    )
    parser.add_argument(
        "--images", type=whole(1, MOST_IMAGES), metavar="N", help="evenly spaced images of DATA (default: all)"
    )
    parser.add_argument(
        "--classes", metavar="FILE", help="names of the network's outputs, one a line, to match with DATA's folders"
    )
    parser.add_argument(
        "--resolution", type=resolution,
        help=f"input side in pixels of a float checkpoint (default: what its file says, else {DEFAULT_RESOLUTION})",
    )
    add_seed_option(parser)
    parser.add_argument("--skip-broken", action="store_true", help="count images that cannot be read, and go on")
    group = parser.add_argument_group("results")
    group.add_argument("--confusion", metavar="FILE.png", help="write a picture of the confusion matrix")
    group.add_argument(
        "--journal", metavar="FILE", help=f"where predictions are kept (default: {JOURNALS}/KEY.jsonl)"
    )
    group.add_argument("--fresh", action="store_true", help="drop the predictions of an earlier run")
    group = parser.add_argument_group("speed")
    group.add_argument(
        "--processes", type=whole(1, MOST_PROCESSES), default=1, metavar="P",
        help="worker processes (default: this one, with all its threads)",
    )
    group.add_argument(
        "--scheduler", metavar="ADDRESS", help="Dask scheduler of a cluster, tcp://host:port, instead of --processes"
    )
    group.add_argument(
        "--batch", type=whole(1, MOST_BATCH), default=BATCH, metavar="N",
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
    if options.scheduler and options.processes > 1:
        raise UsageError("--processes goes without --scheduler: a cluster has its own workers")
    if options.confusion and not options.confusion.endswith(PICTURE_SUFFIX):
        raise UsageError(f"--confusion must end in {PICTURE_SUFFIX}, not {options.confusion}")
    check_replaceable("--confusion", options.confusion)
    subject = _find_subject(options)
    dataset, names = match_data(options, subject.predictor.outputs, subject.classes)
    identity = _identity(options, subject, dataset)
    path = Path(options.journal) if options.journal else JOURNALS / f"{identity_key(identity)[:16]}.jsonl"
    with Journal(path, identity, len(dataset), subject.predictor.outputs, options.fresh) as journal:
        kept = sum(len(chunk.index) for chunk in journal.chunks)
        if 0 < kept < len(dataset):
            say(f"{path}: continuing after {kept:,} of {len(dataset):,} images")
        started = time.monotonic()
        predictions = _evaluate(options, subject.predictor, dataset, journal)
        seconds = time.monotonic() - started
    if predictions is None:
        return 130
    report(options, predictions, names, new=len(predictions) - kept, seconds=seconds, journal=path)
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
                predictor, dataset, batch=options.batch, journal=journal, skip_broken=options.skip_broken,
                scheduler=options.scheduler, processes=options.processes, progress=progress,
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
        if options.resolution:
            raise UsageError("--resolution goes with --backend float; a quantized network has its own")
        network = find_network(options.network, options.seed)
        return Subject(IntegerPredictor(network), network.classes, network_hash(network))
    model, facts = find_float(options)
    return Subject(FloatPredictor(model, facts.mean, facts.std), facts.classes, network_hash(model), facts)


def find_float(options) -> tuple[EfficientViT, Facts]:
    """The float network that an argument names, and what its file says about it."""
    if options.network == BUNDLED:
        bundled = load_bundled()
        facts = Facts(bundled.classes, bundled.resolution, bundled.mean, bundled.std)
    elif SEEDED.fullmatch(options.network):
        facts = Facts()
    else:
        facts = read_facts(options.network)
    model = find_model(options.network, options.resolution or facts.resolution or DEFAULT_RESOLUTION, options.seed)
    return model, facts


def match_data(options, outputs: int, classes: tuple[str, ...]) -> tuple[Dataset, tuple[str, ...]]:
    """The images, with labels that are outputs of the network, and names of the outputs; classes: of the network."""
    names = read_classes(options.classes, outputs) if options.classes else classes
    # Workers of a cluster read images by their paths, from other folders than this process.
    path = str(Path(options.data).resolve()) if options.scheduler else options.data
    dataset, by_name = match_classes(find_dataset(path, "test"), names, outputs, f"--data {options.data}")
    if not by_name:
        say(f"{options.data}: {outputs} classes, as many as the network's outputs: taken in this order, not by name")
    if options.images is not None:
        if options.images > len(dataset):
            raise UsageError(f"--images must lie in 1..{len(dataset)} for this data set, not {options.images}")
        dataset = Subset(dataset, options.images)
    return dataset, dataset.classes


def _identity(options, subject: Subject, dataset: Dataset) -> dict:
    """All that predictions depend on; a journal of other values is not continued."""
    values = {
        "backend": options.backend,
        "network": subject.content,
        "resolution": subject.predictor.resolution,
        "data": data_hash(options.data),
        "images": len(dataset),
        "classes": identity_key({"names": dataset.classes}),
        "code": code_hash(),
    }
    if subject.facts:
        values |= {"mean": list(subject.facts.mean), "std": list(subject.facts.std)}
    return values
