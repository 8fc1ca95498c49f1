"""The README's commands do what it says: each is run as it stands there, in its order, in an empty environment."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.console import blocks, commands, missing, run
from tests.golden.training.archive import write_archive
from triovit.golden.assets import FLOAT_NETWORK, PHOTO

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
CLASSES = ("cat", "dog", "ship")  # of VAL, names of the bundled network

# Commands that are run in another way, and why.
ELSEWHERE = {
    "make demo": "CI runs it",
    "make test": "CI runs it, and this test with it",
    "triovit generate --config trio-zcu102 -o build/zcu102 --lint --synthesize xilinx": (
        "minutes: tests/flow/test_acceptance.py runs it"
    ),
    "triovit compare b1-r224": "a minute: tests/flow/test_acceptance.py runs it",
}
ADDED = {  # what makes a command short: the same command with these words behind it
    "triovit train": "--limit 20 --epochs 1 --batch 10",
    "triovit ablate": "--variants minmax --calibration-images 4",
    "triovit bundle": "--calibration 4 --test 4",
}
REPLACED = {"--images 100": "--images 2"}  # the archive of the test is small

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files that the README takes for granted: a checkpoint, images, CIFAR-10 (a small one), a photo."""
    path = tmp_path_factory.mktemp("readme")
    shutil.copy(FLOAT_NETWORK, path / "checkpoint.safetensors")
    photo, generator = Image.open(PHOTO).convert("RGB"), np.random.default_rng(0)
    photo.save(path / "dog.jpg")
    for number in range(24):
        left, top = generator.integers(0, 100, 2).tolist()
        patch = photo.crop((left, top, left + 200, top + 200))
        for target in (path / "DIR", path / "VAL" / CLASSES[number % len(CLASSES)]):
            target.mkdir(parents=True, exist_ok=True)
            patch.save(target / f"{number}.png")
    write_archive(path / "cifar10.npz", 20, 10)
    return path


def test_every_command(folder):
    faults, told = [], commands(README)
    assert len(told) > 15 and set(ELSEWHERE) <= {command for command, _ in told}
    for command, expected in told:
        if command in ELSEWHERE:
            continue
        added = [words for start, words in ADDED.items() if command.startswith(start)]
        words = " ".join([command, *added])
        for old, new in REPLACED.items():
            words = words.replace(old, new)
        done = run(words, folder)
        if done.returncode:
            faults.append(f"{words}: exit status {done.returncode}\n{done.stderr}")
        elif (part := missing(expected, done.stderr + done.stdout)) is not None:
            faults.append(f"{words}: does not print\n{part}\nbut\n{done.stdout}")
    assert not faults, "\n\n".join(faults)


def test_every_block_is_run():
    """A block without a language is a picture: no command hides in one."""
    assert not any(re.search(r"^(\$ )?(triovit|make|python|pip)\b", text, re.M) for text in blocks(README))
    names = {command.split()[1] for command, _ in commands(README) if command.startswith("triovit")}
    assert {"generate", "quantize", "evaluate", "compile", "run", "compare", "report", "train"} <= names
