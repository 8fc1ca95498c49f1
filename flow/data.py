"""Make the data file that --data takes from CIFAR-10 or CIFAR-100 as they are published.

ARCHIVE is the data set's python version or its binary version, a .tar.gz as downloaded (cifar-10-python.tar.gz,
cifar-10-binary.tar.gz, cifar-100-python.tar.gz, cifar-100-binary.tar.gz), or the folder that is unpacked from it. The
pickles of the python version are read as plain data; nothing in them is run. Labels of CIFAR-100 are the 100 fine ones.
The file holds training and test images, exactly, and their class names; commands take the part that they need.

  triovit data cifar10 cifar-10-python.tar.gz -o cifar10.npz
  triovit data cifar100 cifar-100-binary/ -o cifar100.npz
  triovit evaluate bundled --data cifar10.npz --images 1000
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from triovit.flow.arguments import Input, Output
from triovit.flow.errors import UsageError
from triovit.flow.output import check_replaceable, say, show, write_json
from triovit.flow.progress import steps
from triovit.golden.data.data_file import write_data_file
from triovit.golden.data.public_cifar import LAYOUTS, TEST_IMAGES, TRAINING_IMAGES, read_public
from triovit.golden.data.sources import CIFAR_SUFFIX


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=tuple(LAYOUTS), metavar="DATASET", help=" or ".join(LAYOUTS))
    parser.add_argument("archive", type=Input, metavar="ARCHIVE", help=".tar.gz as published, or the unpacked folder")
    parser.add_argument(
        "-o", "--output", type=Output, required=True, metavar="FILE", help=f"data file to write ({CIFAR_SUFFIX})"
    )
    parser.add_argument(
        "--incomplete",
        action="store_true",
        help=f"take other numbers of images than {TRAINING_IMAGES:,} for training and {TEST_IMAGES:,} for tests",
    )


def execute(options) -> int:
    output = Path(options.output)
    if output.suffix.lower() != CIFAR_SUFFIX:
        raise UsageError(f"--output must end in {CIFAR_SUFFIX}, not {output.name!r}: --data knows the file by it")
    check_replaceable("--output", options.output)
    with steps("reading") as update:
        found = read_public(options.archive, options.kind, update)
    test = len(found.labels) - found.training
    if (found.training, test) != (TRAINING_IMAGES, TEST_IMAGES):
        counts = f"{found.training:,} training and {test:,} test images"
        expected = f"{options.kind} has {TRAINING_IMAGES:,} and {TEST_IMAGES:,}"
        if not options.incomplete:
            raise UsageError(f"{options.archive}: {counts}, {expected}; --incomplete makes a data file of them anyway")
        say(f"{options.archive}: {counts}, {expected}")
    split = np.repeat([0, 1], [found.training, test])
    with steps("writing") as update:
        write_data_file(
            output,
            found.pixels,
            found.labels,
            split,
            found.classes,
            lambda done, total: update("writing", done, total),
        )
    size = output.stat().st_size
    counts = f"{found.training:,} training and {test:,} test images of {len(found.classes)} classes"
    show(f"{output}: {counts}, {size:,} bytes")
    write_json(
        options.json,
        {
            "output": options.output,
            "training_images": found.training,
            "test_images": test,
            "classes": list(found.classes),
            "bytes": size,
        },
    )
    return 0
