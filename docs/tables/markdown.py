"""Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def code(text: object) -> str:
    """A word in the code's type."""
    return f"`{text}`"


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table, a line per row, ending with a line break. Headings that end with ':' are of numbers, which stand right.

    Whole numbers get blanks between thousands. Raises ValueError for a row of another length.
    """
    lines = [
        _line(heading.rstrip(":") for heading in headings),
        "|" + "|".join("---:" if heading.endswith(":") else "---" for heading in headings) + "|",
    ]
    for row in rows:
        if len(row) != len(headings):
            raise ValueError(f"a row has {len(row)} cells, the table {len(headings)} columns: {row}")
        lines.append(_line(f"{cell:,}".replace(",", " ") if type(cell) is int else str(cell) for cell in row))
    return "\n".join(lines) + "\n"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
