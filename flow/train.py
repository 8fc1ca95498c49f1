"""Train EfficientViT-B0 (64 x 64 pixels, 10 classes) from scratch on CIFAR-10 and write its weights.

ARCHIVE is a data file of CIFAR-10, which 'triovit data' makes: an .npz archive with five arrays: jpeg, all image files
one after the other (uint8); offset, where each begins, and the end; label; split, 0 for training and 1 for test;
classes, the names.

An interrupted run goes on when the same command is given again: every two minutes and after every epoch its state is
written to --state, whole or not at all. With the same seed, number of threads and machine the weights are the same,
bit for bit, however often the run was interrupted.

  triovit train cifar10_jpeg.npz -o b0.safetensors                            the whole recipe
  triovit train cifar10_jpeg.npz -o try.safetensors --limit 2000 --epochs 2   a minute's try
  nohup nice triovit train cifar10_jpeg.npz -o b0.safetensors &               then: tail -f b0.log
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import torch

from triovit.flow.arguments import LARGEST_SEED, MOST_IMAGES, Input, Output, whole
from triovit.flow.broken_images import add_skip_option, to_json, told_to_skip, without_broken
from triovit.flow.errors import UsageError
from triovit.flow.output import check_replaceable, say, show, write_json
from triovit.flow.progress import steps
from triovit.golden.data.archives import CifarArchive
from triovit.golden.data.folders import Subset
from triovit.golden.network.checkpoint import SAFETENSORS_SUFFIX
from triovit.golden.training.images import SIDE, decode
from triovit.golden.training.recipe import Recipe
from triovit.golden.training.train import Training, accuracy, plain_copy, save_weights

DEFAULT = Recipe()
MAX_THREADS = 1024  # more than processors: a run can be repeated with the threads of a larger machine
SAVE_SECONDS = 120  # between two savings of the state within an epoch


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("archive", type=Input, metavar="ARCHIVE", help="CIFAR-10 in a data file (.npz)")
    parser.add_argument(
        "-o", "--output", type=Output, required=True, metavar="FILE", help="weights to write (.safetensors)"
    )
    parser.add_argument(
        "--epochs",
        type=int,
        default=DEFAULT.epochs,
        metavar="N",
        help="passes over the training images (default: %(default)s); the rate's cycle is stretched to them",
    )
    parser.add_argument(
        "--batch", type=int, default=DEFAULT.batch, metavar="N", help="images per step (default: %(default)s)"
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
        type=whole(0, LARGEST_SEED),
        default=DEFAULT.seed,
        metavar="N",
        help="of weights, order and augmentation (default: %(default)s)",
    )
    parser.add_argument(
        "--threads",
        type=whole(1, MAX_THREADS),
        metavar="N",
        help=f"processor threads (default: torch's, here {torch.get_num_threads()})",
    )
    parser.add_argument(
        "--limit",
        type=whole(1, MOST_IMAGES),
        metavar="N",
        help="use N evenly spaced training and test images only, to try things out",
    )
    parser.add_argument(
        "--state",
        type=Output,
        metavar="FILE",
        help="where the run's state is kept (default: the output's name with .state)",
    )
    parser.add_argument(
        "--log",
        type=Output,
        metavar="FILE",
        help="a line per epoch is added to it (default: the output's name with .log)",
    )
    add_skip_option(parser)
    parser.add_argument("--restart", action="store_true", help="begin anew even if there is a state to go on from")


@dataclasses.dataclass(frozen=True)
class Files:
    """What a run writes: weights, state and log."""

    output: Path
    state: Path
    log: Path

    def line(self, text: str, tell: Callable[[str], None] = say) -> None:
        """A line for people and, with the time, for the log."""
        tell(text)
        with self.log.open("a", encoding="utf-8", errors="replace") as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}\n")


def execute(options) -> int:
    files = _files(options)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    try:
        _train(options, files)
    except KeyboardInterrupt:
        say("triovit train: interrupted; the same command goes on from the last saved state")
        return 130
    return 0


def minutes(seconds: float) -> str:
    """'1 h 05 min', '12 min' or '40 s'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    whole_minutes = round(seconds / 60)
    return f"{whole_minutes} min" if whole_minutes < 60 else f"{whole_minutes // 60} h {whole_minutes % 60:02} min"


def _files(options) -> Files:
    """The three files; raises UsageError for what would otherwise be found wrong only after hours."""
    output = Path(options.output)
    if output.suffix != SAFETENSORS_SUFFIX:
        raise UsageError(f"--output must end in {SAFETENSORS_SUFFIX}, not {output.name!r}")
    files = Files(
        output,
        Path(options.state or output.with_suffix(".state")),
        Path(options.log or output.with_suffix(".log")),
    )
    if len({files.output, files.state, files.log}) < 3:
        raise UsageError("--output, --state and --log must be three files")
    for name, path in dataclasses.asdict(files).items():
        check_replaceable(f"--{name}", str(path))
    return files


def _train(options, files: Files) -> None:
    """The whole run: images, epochs, batch-norm statistics, accuracy, file."""
    recipe = Recipe(epochs=options.epochs, batch=options.batch, peak_rate=options.rate, seed=options.seed)
    data, test = CifarArchive(options.archive, "train"), CifarArchive(options.archive, "test")
    if options.limit is not None:
        data, test = (Subset(part, min(options.limit, len(part))) for part in (data, test))
    data, broken = without_broken(data, SIDE, options.skip_broken)
    test, broken_test = without_broken(test, SIDE, options.skip_broken)
    recipe.steps_per_epoch(len(data))  # refuses a batch that is too large before anything is decoded
    files.line(f"decoding {len(data)} training images")
    with told_to_skip(), steps("decoding") as update:
        images, labels = decode(data, lambda done, total: update("decoding", done, total))
    training = Training(recipe, images, labels, len(data.classes))
    if files.state.exists() and not options.restart:
        training.restore(files.state)
        files.line(
            f"going on after step {training.step} of {recipe.epochs * training.steps_per_epoch}, with "
            f"{torch.get_num_threads()} threads"
        )
    else:
        files.line(
            f"training: {recipe.epochs} epochs, batch {recipe.batch}, seed {recipe.seed}, "
            f"{torch.get_num_threads()} threads"
        )
    with steps("training") as update:
        _run_epochs(training, files, update)
    training.set_statistics()
    model = plain_copy(training.model)
    with told_to_skip(), steps("measuring") as update:
        correct, seen = accuracy(model, test, lambda right, count: update(f"{right} right", count, len(test)))
    save_weights(model, files.output, recipe, data.classes, correct, seen, len(data))
    files.line(
        f"top-1 {100 * correct / seen:.2f} % ({correct} of {seen} test images) after "
        f"{minutes(training.seconds)} of training",
        show,
    )
    files.line(f"wrote {files.output.name} ({files.output.stat().st_size} bytes)", show)
    report = {"output": options.output, "training_images": len(data), "correct": correct, "test_images": seen}
    report |= {"broken": to_json(broken), "broken_test": to_json(broken_test)}
    write_json(options.json, {**report, "seconds": training.seconds, "recipe": dataclasses.asdict(recipe)})


def _run_epochs(training: Training, files: Files, update: Callable[[str, int, int], None]) -> None:
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

        def progress(done, loss, label=label, epoch=training.epoch):
            nonlocal saved
            update(f"{label}  loss {loss:.3f}, steps", epoch * per_epoch + done, recipe.epochs * per_epoch)
            if time.monotonic() - saved > SAVE_SECONDS:
                training.save(files.state)
                saved = time.monotonic()

        loss = training.run_epoch(progress)
        training.save(files.state)
        files.line(f"{label}  loss {loss:.4f}  {pace()}")
