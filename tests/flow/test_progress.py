"""Progress: a bar on a terminal, elsewhere a line every few seconds, and no word that was not measured."""

import os
import pty
import re
import subprocess
import sys
import time

import pytest

from triovit.flow import progress
from triovit.flow.progress import Pace, clock_time, steps


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def pace():
    """A pace and its clock."""
    clock = Clock()
    return Pace("calibrating", clock), clock


def test_time_left_is_of_what_was_measured(pace):
    pace, clock = pace
    clock.now = 30
    assert pace.line() == "calibrating, 0:30 so far"
    pace.update("calibrating", 10, 250)  # the first count may be an earlier run's
    assert pace.line() == "calibrating 10 of 250 (4 %), 0:30 so far"
    clock.now = 40
    pace.update("calibrating", 50, 250)
    assert pace.line() == "calibrating 50 of 250 (20 %), 0:50 left"
    clock.now = 45  # nothing new: the same count, slower
    assert pace.line() == "calibrating 50 of 250 (20 %), 1:15 left"
    pace.update("calibrating", 250, 250)
    assert pace.left() == 0


def test_a_new_phase_begins_anew(pace):
    pace, clock = pace
    for done, total in ((0, 10), (10, 10)):
        pace.update("reading", done, total)
        clock.now += 100
    pace.update("block 1", 0, 10)  # the count goes back
    assert pace.left() is None
    clock.now += 1
    pace.update("block 1", 5, 10)
    assert pace.left() == 1
    pace.update("block 2", 6, 20)  # another total
    assert pace.left() is None
    pace.update("cycles", 0, 0)
    assert pace.line() == "cycles, 3:21 so far"


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (725, "12:05"), (3600, "1:00:00")])
def test_clock_time(seconds, text):
    assert clock_time(seconds) == text


def test_short_work_is_silent(capsys):
    with steps("quick") as update:
        update("quick", 1, 2)
    assert capsys.readouterr() == ("", "")


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(progress, "SECONDS", 0.1)


def test_without_a_terminal_there_are_lines(capsys, quick):
    with steps("calibrating") as update:
        update("calibrating", 0, 8)
        time.sleep(0.15)
        update("calibrating", 2, 8)
        time.sleep(0.3)  # also while the work itself says nothing
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) >= 3
    for line in err.splitlines():
        assert re.fullmatch(r"calibrating [02] of 8 \((0|25) %\), \d:\d\d (left|so far)", line)


def test_progress_in_progress_is_told_alone(capsys, quick):
    with steps("outer"):
        with steps("inner"):
            time.sleep(0.25)
        inner = capsys.readouterr().err
        time.sleep(0.25)
    assert "inner" in inner and "outer" not in inner
    assert "outer" in capsys.readouterr().err


def test_an_error_ends_the_lines(capsys, quick):
    with pytest.raises(ValueError), steps("failing"):
        raise ValueError
    time.sleep(0.25)
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar_with_the_time_left():
    """In a process with a terminal of its own, whose bar is gone at the end."""
    code = """
import time
from triovit.flow.progress import steps
with steps("calibrating") as update:
    for done in range(9):
        update("calibrating", done, 8)
        time.sleep(0.1)
"""
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen([sys.executable, "-c", code], stderr=theirs, stdout=subprocess.PIPE, env=environment)
    os.close(theirs)
    shown = b""
    while True:
        try:
            shown += os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
    assert process.wait() == 0
    assert process.stdout and process.stdout.read() == b""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert re.search(r"calibrating [1-8]/8 ━+.* 0:0[01] left", plain)
