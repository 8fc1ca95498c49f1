"""Train EfficientViT from scratch on a CIFAR-10 archive: `python -m triovit.flow.train --help`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from triovit.golden.data.archives import CifarArchive
from triovit.golden.data.folders import DatasetError, Subset
from triovit.golden.data.images import ImageError
from triovit.golden.network.checkpoint import SAFETENSORS_SUFFIX
from triovit.golden.training.images import decode
from triovit.golden.training.recipe import Recipe, TrainingError
from triovit.golden.training.train import Training, accuracy, plain_copy, save_weights

DEFAULT = Recipe()
DESCRIPTION = """\
Train EfficientViT-B0 (64 x 64 pixels, 10 classes) from scratch on CIFAR-10 and write its weights.

ARCHIVE is CIFAR-10 as JPEG files in an .npz archive with five arrays: jpeg, all files one after the other (uint8);
offset, where each begins, and the end; label; split, 0 for training and 1 for test; classes, the ten names."""
EPILOG = """\
An interrupted run goes on when the same command is given again: every two minutes and after every epoch its state is
written to --state, whole or not at all. With the same seed, number of threads and machine the weights are the same,
bit for bit, however often the run was interrupted.

examples:
  python -m triovit.flow.train cifar10_jpeg.npz -o b0.safetensors                        the whole recipe
  python -m triovit.flow.train cifar10_jpeg.npz -o try.safetensors --limit 2000 --epochs 2   a minute's try
  nohup nice python -m triovit.flow.train cifar10_jpeg.npz -o b0.safetensors &           then: tail -f b0.log"""
REPORT_SECONDS = 0.5  # between two updates of the progress line
MAX_THREADS = 1024  # more than processors: a run can be repeated with the threads of a larger machine
SAVE_SECONDS = 120  # between two savings of the state within an epoch


class Reporter:
    """Lines on standard output and in a log file, and a progress line where standard error is a terminal."""

    def __init__(self, path: Path):
        self._file = path.open("a", encoding="utf-8")
        self._terminal = sys.stderr.isatty()
        self._shown = 0.0

    def line(self, text: str) -> None:
        if self._terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
        print(text, flush=True)
        self._file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}\n")
        self._file.flush()

    def progress(self, text: Callable[[], str]) -> None:
        if self._terminal and time.monotonic() - self._shown > REPORT_SECONDS:
            self._shown = time.monotonic()
            print(f"\r\033[K{text()}", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        self._file.close()


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m triovit.flow.train",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("archive", type=Path, metavar="ARCHIVE", help="CIFAR-10 as JPEG in an .npz archive")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="weights, .safetensors")
    parser.add_argument(
        "--epochs",
        type=int,
        default=DEFAULT.epochs,
        metavar="N",
        help="passes over the training images (default: %(default)s); the rate's cycle is stretched to them",
    )
    parser.add_argument(
        "--batch", type=int, default=DEFAULT.batch, metavar="N", help="images a step (default: %(default)s)"
    )
    parser.add_argument(
        "--rate",
        type=float,
        default=DEFAULT.peak_rate,
        metavar="R",
        help="AdamW's rate at the cycle's peak (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=DEFAULT.seed,
        metavar="N",
        help="of weights, order and augmentation (default: %(default)s)",
    )
    parser.add_argument(
        "--threads", type=int, metavar="N", help=f"processor threads (default: torch's, here {torch.get_num_threads()})"
    )
    parser.add_argument(
        "--limit", type=int, metavar="N", help="use N evenly spaced training and test images only, to try things out"
    )
    parser.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="where the run's state is kept (default: the output's name with .state)",
    )
    parser.add_argument(
        "--log", type=Path, metavar="FILE", help="a line an epoch is added to it (default: the output's name with .log)"
    )
    parser.add_argument("--restart", action="store_true", help="begin anew even if there is a state to go on from")
    options = parser.parse_args(arguments)
    options.state = options.state or options.output.with_suffix(".state")
    options.log = options.log or options.output.with_suffix(".log")
    return options


def check(options: argparse.Namespace) -> None:
    """Raise TrainingError for what would otherwise be found wrong only after hours."""
    if options.output.suffix != SAFETENSORS_SUFFIX:
        raise TrainingError(f"the output's name must end in {SAFETENSORS_SUFFIX}, not {options.output.name!r}")
    if len({options.output, options.state, options.log}) < 3:
        raise TrainingError("output, state and log must be three files")
    for name in ("output", "state", "log"):
        path = getattr(options, name)
        if path.is_dir():
            raise TrainingError(f"{name}: {path} is a folder")
        if not path.parent.is_dir():
            raise TrainingError(f"{name}: there is no folder {path.parent}")
        if not os.access(path.parent, os.W_OK):
            raise TrainingError(f"{name}: the folder {path.parent} may not be written")
    if options.threads is not None and not 1 <= options.threads <= MAX_THREADS:
        raise TrainingError(f"threads must lie in 1..{MAX_THREADS}, not {options.threads}")
    if options.limit is not None and options.limit < 1:
        raise TrainingError(f"limit must be at least 1, not {options.limit}")


def recipe_of(options: argparse.Namespace) -> Recipe:
    """The default recipe with the command's numbers."""
    return Recipe(epochs=options.epochs, batch=options.batch, peak_rate=options.rate, seed=options.seed)


def minutes(seconds: float) -> str:
    """'1 h 05 min', '12 min' or '40 s'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    whole = round(seconds / 60)
    return f"{whole} min" if whole < 60 else f"{whole // 60} h {whole % 60:02} min"


def run_epochs(training: Training, options: argparse.Namespace, reporter: Reporter) -> None:
    """All epochs that are left, each with a line in the log, saving the state."""
    recipe, per_epoch = training.recipe, training.steps_per_epoch
    while training.epoch < recipe.epochs:
        label = f"epoch {training.epoch + 1}/{recipe.epochs}"
        before, seconds = training.step, training.seconds
        saved = time.monotonic()

        def pace(before=before, seconds=seconds):
            spent = (training.seconds - seconds) / (training.step - before)  # a step
            left = spent * (recipe.epochs * per_epoch - training.step)
            return f"{recipe.batch / spent:.0f} images/s  {minutes(left)} left"

        def progress(done, loss, label=label, pace=pace):
            nonlocal saved
            reporter.progress(lambda: f"{label}  step {done}/{per_epoch}  loss {loss:.3f}  {pace()}")
            if time.monotonic() - saved > SAVE_SECONDS:
                training.save(options.state)
                saved = time.monotonic()

        loss = training.run_epoch(progress)
        training.save(options.state)
        reporter.line(f"{label}  loss {loss:.4f}  {pace()}")


def train(options: argparse.Namespace, reporter: Reporter) -> None:
    """The whole run: images, epochs, batch-norm statistics, accuracy, file."""
    recipe = recipe_of(options)
    data, test = CifarArchive(options.archive, "train"), CifarArchive(options.archive, "test")
    if options.limit is not None:
        data, test = (Subset(part, min(options.limit, len(part))) for part in (data, test))
    recipe.steps_per_epoch(len(data))  # refuses a batch that is too large before anything is decoded
    reporter.line(f"decoding {len(data)} training images")
    images, labels = decode(data, lambda done, total: reporter.progress(lambda: f"decoding {done}/{total}"))
    training = Training(recipe, images, labels, len(data.classes))
    if options.state.exists() and not options.restart:
        training.restore(options.state)
        reporter.line(
            f"going on after step {training.step} of {recipe.epochs * training.steps_per_epoch}, with "
            f"{torch.get_num_threads()} threads"
        )
    else:
        reporter.line(
            f"training: {recipe.epochs} epochs, batch {recipe.batch}, seed {recipe.seed}, "
            f"{torch.get_num_threads()} threads"
        )
    run_epochs(training, options, reporter)
    training.set_statistics()
    model = plain_copy(training.model)
    correct, seen = accuracy(model, test, lambda right, count: reporter.progress(lambda: f"{right} of {count} right"))
    save_weights(model, options.output, recipe, data.classes, correct, seen, len(data))
    reporter.line(
        f"top-1 {100 * correct / seen:.2f} % ({correct} of {seen} test images) after "
        f"{minutes(training.seconds)} of training"
    )
    reporter.line(f"wrote {options.output.name} ({options.output.stat().st_size} bytes)")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, 2 for an error (one line), 130 when interrupted."""
    options, reporter = parse(arguments), None
    try:
        check(options)
        if options.threads is not None:
            torch.set_num_threads(options.threads)
        reporter = Reporter(options.log)
        train(options, reporter)
    except (DatasetError, ImageError, TrainingError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the last saved state", file=sys.stderr)
        return 130
    finally:
        if reporter is not None:
            reporter.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
