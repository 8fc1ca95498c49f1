"""The tutorial, followed in a new folder: every command works and prints what the page says."""

import re
import sys
from pathlib import Path

import pytest

from tests.console import blocks, commands, missing, run

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorial.md"
POINTS = 6  # of top-1: scales are computed in floats, and some integers differ from one processor to the next

pytestmark = pytest.mark.slow


def test_tutorial(tmp_path):
    for number, text in enumerate(blocks(PAGE, "python")):
        script = tmp_path / f"{number}.py"
        script.write_text(text, encoding="utf-8")
        assert run(f"{sys.executable} {script}", tmp_path).returncode == 0
    told = commands(PAGE)
    assert len(told) == 6
    for command, expected in told:
        done = run(command, tmp_path)
        assert done.returncode == 0, done.stderr
        assert missing(expected, done.stderr + done.stdout) is None, done.stdout
        if command.startswith("triovit evaluate"):
            page, printed = (float(re.search(r"top-1 ([\d.]+) %", text)[1]) for text in (expected, done.stdout))
            assert abs(page - printed) <= POINTS
