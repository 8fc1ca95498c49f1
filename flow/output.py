"""Tables, messages, files and JSON for all commands."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from triovit.flow.arguments import Input, Output
from triovit.flow.errors import UsageError
from triovit.flow.tables import Column, fit
from triovit.golden.files import whole_file
from triovit.golden.messages import printable

WHOLE_LINES = 1 << 20  # characters: wider than any table

console = Console(highlight=False)
messages = Console(stderr=True, highlight=False)


def show(text: str) -> None:
    """A line of the result, or several, on standard output; brackets are nothing special."""
    _print(console, text)


def say(text: str) -> None:
    """A line about what is going on, on standard error."""
    _print(messages, text)


def _print(stream: Console, text: str) -> None:
    stream.print("\n".join(printable(line) for line in text.split("\n")), markup=False, soft_wrap=True)


def table(title: str, columns: Sequence[Column], rows: Sequence[Sequence]) -> None:
    """Print a title and a table. Whole numbers get thousands separators.

    On a terminal every row is one line: see `flow.tables.fit`. A pipe gets everything, whatever width the terminal
    would have.
    """
    ellipsis = "\N{HORIZONTAL ELLIPSIS}" if console.encoding.startswith("utf") else ".."
    result, note = fit(columns, rows, console.width if console.is_terminal else None, ellipsis)
    show(title)
    if console.is_terminal:
        console.print(result)
    else:
        Console(width=WHOLE_LINES, highlight=False).print(result)
    if note:
        show(note)


def check_target(option: str, path: str | None) -> None:
    """Raise UsageError, before any work is done, when a file could not be written at `path` (None: not asked for)."""
    if path is None:
        return
    target = Path(path)
    rules = {
        "is a folder": not target.is_dir(),
        f"there is no folder {target.parent}": target.parent.is_dir(),
        "may not be written": os.access(target if target.exists() else target.parent, os.W_OK),
    }
    for fault, holds in rules.items():
        if not holds:
            raise UsageError(f"{option} {path}: {fault}")


def check_replaceable(option: str, path: str | None) -> None:
    """As `check_target`, for a file that is written whole and then renamed: never a device or a pipe."""
    check_target(option, path)
    if path is not None and Path(path).exists() and not Path(path).is_file():
        raise UsageError(f"{option} {path}: is no regular file")


def check_distinct(options: Namespace) -> None:
    """Raise UsageError when two arguments name one file and it would be written: the other use of it would be lost."""
    values = [part for value in vars(options).values() for part in (value if isinstance(value, list) else [value])]
    taken = {Path(value).resolve() for value in values if isinstance(value, Input) and Path(value).is_file()}
    for path in (Path(value) for value in values if isinstance(value, Output)):
        if path.resolve() in taken:
            raise UsageError(f"{path}: another argument names this file too, which would be overwritten")
        taken.add(path.resolve())


def write_json(path: str | None, report: dict) -> None:
    """Write a command's report for machines, when asked for; a regular file appears whole or not at all."""
    if path is None:
        return
    target, text = Path(path), json.dumps(report, indent=2) + "\n"
    if target.exists() and not target.is_file():  # a pipe, or the terminal
        target.write_text(text, encoding="utf-8")
        return
    with whole_file(target) as partial:
        partial.write_text(text, encoding="utf-8")
