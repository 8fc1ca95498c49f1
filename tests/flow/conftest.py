"""Running commands in the test's process, and small inputs for them."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image

from tests.networks import small_network
from triovit.flow.cli import main
from triovit.golden.integer.serialize import save_network
from triovit.golden.network.bundled import load_bundled

torch.set_num_threads(1)  # the networks are small, and tests run side by side


@dataclass
class Outcome:
    """What a command left: exit status, standard output and error, and its --json report."""

    status: int
    out: str
    err: str
    report: dict | None


@pytest.fixture
def triovit(capsys, tmp_path):
    """triovit("compile", "bundled", ...) -> Outcome; the report is asked for unless `report` is False."""

    def call(*arguments, report=True) -> Outcome:
        path = tmp_path / "report.json"
        path.unlink(missing_ok=True)
        words = [str(argument) for argument in arguments]
        if report and "--json" not in words:
            words += ["--json", str(path)]
        capsys.readouterr()
        try:
            status = main(words)
        except SystemExit as end:  # argparse: help, version, wrong arguments
            status = end.code
        printed = capsys.readouterr()
        found = json.loads(path.read_text()) if path.exists() else None
        return Outcome(status, printed.out, printed.err, found)

    return call


@pytest.fixture
def refused(triovit):
    """refused("run", "--stalls", 2) -> the error's text, after checking that it is the only line, and the status 2."""

    def call(command, *arguments) -> str:
        outcome = triovit(command, *arguments)
        assert outcome.status == 2, outcome
        assert outcome.report is None
        prefix = f"triovit {command}: error: "
        assert outcome.err.startswith(prefix) and outcome.err.count("\n") == 1, outcome.err
        assert outcome.out == ""
        return outcome.err.removeprefix(prefix)

    return call


@pytest.fixture(scope="session")
def small_file(tmp_path_factory):
    """A quantized network of every kind of layer that runs on trio-tiny in no time, with CIFAR-10's class names."""
    path = tmp_path_factory.mktemp("network") / "small.safetensors"
    save_network(dataclasses.replace(small_network(4, size=20), classes=load_bundled().classes), path)
    return path


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A folder of labelled images with CIFAR-10's class names: two cats, a dog, a ship."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(5)
    for name in ("cat/a.png", "cat/b.png", "dog/c.jpg", "ship/d.png"):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 30, 3), dtype=np.uint8)).save(path)
    return folder
