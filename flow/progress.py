"""Progress of long work on standard error: a bar on a terminal, elsewhere a line every few seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TextColumn

from triovit.flow.output import messages, say

SECONDS = 5.0  # from the start to the first line, and from line to line: short work stays silent
SHARE = 0.02  # of a phase that is done before its pace tells how long the rest will take
LONG_SECONDS = 600.0  # work of more than this is told of less often: every minute

Update = Callable[[str, int, int], None]  # what is done, how much of it, of how much; 0 of 0 when that is not known

_running: list[Pace] = []  # progress in progress tells the inner one only


class Pace:
    """Counts what is done and measures how fast, so that what is left is never more than what was seen allows to say.

    A count that goes back, or another total, begins anew: calibration has phases with counts of their own.
    """

    def __init__(self, label: str, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self.started = clock()
        self.label, self.done, self.total = label, 0, 0
        self._first = (self.started, 0)  # the first count of this phase, which may go on from an earlier run

    def update(self, label: str, done: int, total: int) -> None:
        if total != self.total or done < self.done:
            self._first = (self._clock(), done)
        self.label, self.done, self.total = label, done, total

    def left(self) -> float | None:
        """Seconds that the rest will take at the pace so far; None while nothing can be said."""
        since, first = self._first
        if not first < self.done <= self.total or self.done - first < SHARE * (self.total - first):
            return None
        return (self.total - self.done) * (self._clock() - since) / (self.done - first)

    def remark(self) -> str:
        """Time left, or else time spent."""
        left = self.left()
        return f"{clock_time(self._clock() - self.started)} so far" if left is None else f"{clock_time(left)} left"

    def line(self) -> str:
        """'calibrating 12 of 256 (5 %), 0:20 left'."""
        counts = f" {self.done:,} of {self.total:,} ({100 * self.done // self.total} %)" if self.total else ""
        return f"{self.label}{counts}, {self.remark()}"


def clock_time(seconds: float) -> str:
    """'0:20', '12:05' or '1:00:00'."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@contextmanager
def steps(description: str) -> Iterator[Update]:
    """Progress of what is done in a `with` block: yields update(label, done, total)."""
    pace = Pace(description)
    _running.append(pace)
    try:
        with _bar(pace) if messages.is_interactive else _lines(pace):
            yield pace.update
    finally:
        _running.remove(pace)


@contextmanager
def _bar(pace: Pace) -> Iterator[None]:
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[remark]}"))
    with Progress(*columns, console=messages, transient=True, auto_refresh=False) as progress:
        task = progress.add_task(pace.label, total=None, remark="")

        def show() -> None:
            counts = f" {pace.done:,}/{pace.total:,}" if pace.total else ""
            values = {"completed": pace.done, "total": pace.total or None, "remark": pace.remark()}
            progress.update(task, description=f"{pace.label}{counts}", refresh=True, **values)

        with _every(lambda: 0.2, show):
            yield


@contextmanager
def _lines(pace: Pace) -> Iterator[None]:
    def show() -> None:
        if _running[-1:] == [pace]:
            say(pace.line())

    def wait() -> float:
        return SECONDS if time.monotonic() - pace.started < LONG_SECONDS else 12 * SECONDS

    with _every(wait, show):
        yield


@contextmanager
def _every(wait: Callable[[], float], show: Callable[[], None]) -> Iterator[None]:
    """Calls `show` again and again during a `with` block, also while the work itself says nothing."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(wait()):
            show()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
