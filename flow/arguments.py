"""Checked types of command line arguments, and options that several commands share."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any

from triovit.flow.errors import UsageError

MOST_IMAGES = 10_000_000
LONGEST_LATENCY = 100_000
LARGEST_SEED = (1 << 32) - 1
MOST_PROCESSES = 1024
DEFAULT_RESOLUTION = 224
FLOAT_OPTIONS = ("weights", "resolution", "mean", "std", "crop")  # what people say about a float network


class Named(str):
    """Type of an argument that names something; refuses the empty text, which a path would take for this folder."""

    def __new__(cls, text: str):
        if not text.strip():
            raise argparse.ArgumentTypeError("must not be empty")
        return super().__new__(cls, text)


class Input(Named):
    """Names something to read, a file or not."""


class Output(Named):
    """Names a file or folder to write: see `flow.output.check_distinct`."""


def whole(low: int, high: int) -> Callable[[str], int]:
    """Type of a whole number in low..high."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be a whole number in {low}..{high}, not {text}")
        return value

    return parse


def number(low: float, below: float) -> Callable[[str], float]:
    """Type of a number, at least `low` and less than `below`."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value < below:  # false for NaN as well
            raise argparse.ArgumentTypeError(f"must be a number from {low} to less than {below}, not {text}")
        return value

    return parse


def resolution(text: str) -> int:
    """Type of an input side in pixels."""
    value = int(text) if text.isascii() and text.isdigit() else 0
    if value % 32 or not 32 <= value <= 1024:
        raise argparse.ArgumentTypeError(f"must be a multiple of 32 in 32..1024, not {text}")
    return value


def add_seed_option(parser: argparse.ArgumentParser, what: str = "seeded weights") -> None:
    parser.add_argument(
        "--seed", type=whole(0, LARGEST_SEED), default=0, metavar="N", help=f"of {what} (default %(default)s)"
    )


def fact(name: str) -> Callable[[str], Any]:
    """Type of a number, or of several with commas between them, that is a fact about a network."""

    def parse(text: str):
        from triovit.golden.network.facts import find_faults  # imports more than a --help should wait for

        try:
            numbers = [float(part) for part in text.split(",")]
        except ValueError:
            numbers = []
        if faults := find_faults({name: numbers if len(numbers) != 1 else numbers[0]}):
            raise argparse.ArgumentTypeError(
                f"{faults[0].partition(', not ')[0].removeprefix(name).strip()}, not {text}"
            )
        return tuple(numbers) if len(numbers) > 1 else numbers[0]

    return parse


def add_float_options(parser: argparse.ArgumentParser, model: str = "float checkpoint") -> None:
    """What people may say about a float network; what they do not say is read from its file, or assumed and told."""
    group = parser.add_argument_group(f"the {model}", "Default: what its file says; what is assumed is printed.")
    add_weights_option(group)
    group.add_argument("--resolution", type=resolution, help=f"input side in pixels (else {DEFAULT_RESOLUTION})")
    for name, what in (("mean", "subtracted from pixels / 255"), ("std", "that these are divided by")):
        group.add_argument(f"--{name}", type=fact(name), metavar="R,G,B", help=f"{what} (else ImageNet's)")
    group.add_argument(
        "--crop",
        type=fact("crop"),
        metavar="X",
        help="share of an image's shorter side that is kept, 0.1..1 (else 0.95); up to 64 x 64 square images are "
        "resized whole",
    )


def add_weights_option(parser) -> None:
    parser.add_argument("--weights", metavar="KEY", help="which set, of a file that holds several: state_dict_ema")


def refuse_float_options(options) -> None:
    """Raise UsageError for what is said about a float network where a quantized one is used."""
    for name in FLOAT_OPTIONS:
        if getattr(options, name) is not None:
            raise UsageError(f"--{name} goes with --backend float; a quantized network has its own")


def add_classes_option(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument(
        "--classes", type=Input, metavar="FILE", help=f"names of the network's outputs, one per line, {what}"
    )


def add_parallel_options(parser, processes: str) -> None:
    """--processes, told as `processes`, or --scheduler: a cluster has its own workers."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--processes", type=whole(1, MOST_PROCESSES), default=1, metavar="P", help=processes)
    group.add_argument("--scheduler", metavar="ADDRESS", help="Dask scheduler of a cluster instead, tcp://host:port")


def add_config_option(parser) -> None:
    from triovit.hdl.config.accelerator import PRESETS  # imports more than the list of commands should wait for

    parser.add_argument(
        "--config",
        type=Input,
        default="trio-core",
        metavar="NAME|FILE",
        help=f"{', '.join(PRESETS)}, or a JSON file; 'triovit configs' tells of them (default %(default)s)",
    )


def add_image_options(parser: argparse.ArgumentParser, several: bool = False) -> None:
    """Where images come from: `image`, a list, or `data`. several: --image takes files and folders."""
    source = parser.add_mutually_exclusive_group()
    default = "without it a public-domain sample photo of a cat"
    if several:
        what = f"image files, or folders of them; {default}"
        source.add_argument("--image", type=Input, nargs="+", action="extend", metavar="PATH", help=what)
    else:
        source.add_argument("--image", type=Input, nargs=1, metavar="FILE", help=f"image file; {default}")
    source.add_argument(
        "--data",
        type=Input,
        metavar="PATH",
        help="labelled images instead: a folder per class, in a folder or archive, a data file, or 'sample'",
    )
    parser.add_argument(
        "--images", type=whole(1, MOST_IMAGES), metavar="N", help="evenly spaced images of --data (default: all)"
    )


def add_simulation_options(parser: argparse.ArgumentParser) -> None:
    """Configuration of the machine, timing of its memory, and the stalls of one run."""
    group = add_machine_options(parser)
    group.add_argument("--stall-seed", type=whole(0, LARGEST_SEED), default=1, metavar="N", help="default %(default)s")


def add_machine_options(parser: argparse.ArgumentParser):
    """Configuration of the machine and timing of its memory, as a group that may get further options."""
    group = parser.add_argument_group("machine and memory")
    add_config_option(group)
    group.add_argument(
        "--bytes-per-cycle",
        type=number(0.01, 4096),
        metavar="B",
        help="memory bandwidth, reads and writes together (default: one beat per cycle of each port)",
    )
    latency = whole(1, LONGEST_LATENCY)
    group.add_argument("--read-latency", type=latency, default=32, metavar="CYCLES", help="default %(default)s")
    group.add_argument("--write-latency", type=latency, default=8, metavar="CYCLES", help="default %(default)s")
    group.add_argument(
        "--stalls",
        type=number(0, 1),
        default=0.0,
        metavar="P",
        help="probability of a stall in every cycle on every AXI channel (default 0)",
    )
    return group


def memory_timing(options, bus_bytes: int) -> dict:
    """Parameters of a `MemoryTiming` from the options of `add_machine_options`; bus_bytes: of a beat of each port."""
    return {
        "read_latency": options.read_latency,
        "write_latency": options.write_latency,
        "bytes_per_cycle": bus_bytes if options.bytes_per_cycle is None else options.bytes_per_cycle,
        "stall_probability": options.stalls,
    }
