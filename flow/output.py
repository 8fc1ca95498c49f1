"""Tables, progress and JSON for all commands."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

console = Console(highlight=False)
messages = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """A line about what is going on, on standard error."""
    messages.print(text, markup=False)


def table(title: str, columns: list[tuple[str, str]], rows: list[list]) -> None:
    """Print a table; columns: (heading, "left" or "right")."""
    result = Table(title=title, title_justify="left", header_style="bold")
    for heading, justify in columns:
        result.add_column(heading, justify=justify, no_wrap=True)
    for row in rows:
        result.add_row(*(f"{value:,}" if isinstance(value, int) else str(value) for value in row))
    # A pipe gets whole lines, whatever width the terminal would have.
    (console if console.is_terminal else Console(width=200, highlight=False)).print(result)


@contextmanager
def steps(description: str):
    """Progress over something with a known number of steps: yields update(label, done, total)."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=messages, transient=True) as progress:
        task = progress.add_task(description, total=None)
        yield lambda label, done, total: progress.update(task, description=label, completed=done, total=total)


def write_json(path: str | None, report: dict) -> None:
    """Write a command's report for machines, when asked for."""
    if path:
        Path(path).write_text(json.dumps(report, indent=2) + "\n")
