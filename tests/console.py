"""Fenced blocks of the documentation: their commands, run as a user runs them, and whether they tell what came."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
# What differs from run to run and from machine to machine: seconds, speeds, accuracies of networks quantized anew. And
# the size of the Verilog, which every change of the hardware changes.
VARYING = re.compile(r"\d[\d.,]* (s|seconds|thousand cycles|modules|bytes of Verilog|% ± \d[\d.]* \(\d+ of)\b")


def blocks(page: Path, language: str = "") -> list[str]:
    """Texts of the fenced blocks of a language, "" for those of none, in order."""
    return [text for name, text in FENCE.findall(page.read_text(encoding="utf-8")) if name == language]


def _plain(text: str) -> str:
    """The text with every break and run of spaces as one space, and without what varies."""
    return VARYING.sub(r"N \1", " ".join(text.split()))


def missing(told: str, printed: str) -> str | None:
    """The first part of `told` that `printed` does not have, None if it has all in this order; "..." in a line of its
    own stands for any lines between. Where lines are broken does not matter."""
    rest = _plain(printed)
    for part in re.split(r"^\s*\.\.\.$", told, flags=re.M):
        if wanted := _plain(part):
            _, found, rest = rest.partition(wanted)
            if not found:
                return part
    return None


def commands(page: Path) -> list[tuple[str, str]]:
    """(command, what it is said to print) in the order of the page: of `sh` blocks each line, of `console` ones each
    line with a prompt and what follows it."""
    found = []
    for language, text in FENCE.findall(page.read_text(encoding="utf-8")):
        if language == "sh":
            found += [(line.partition(" #")[0].strip(), "") for line in text.splitlines()]
        elif language == "console":
            found += [tuple(part.split("\n", 1)) for part in re.split(r"^\$ ", text, flags=re.M)[1:]]
    return found


def run(command: str, folder: Path) -> subprocess.CompletedProcess:
    """The finished process of a shell command, in an environment with nothing but the two folders and the build."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"HOME": os.environ["HOME"], "PATH": path, "COLUMNS": "80"}
    environment |= {"TRIOVIT_BUILD": str(ROOT / "build"), "OMP_NUM_THREADS": "1"}  # the simulators of other tests
    return subprocess.run(command, shell=True, capture_output=True, text=True, cwd=folder, env=environment)
