"""Tables that stay readable at the width of a terminal: every row in one line."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Literal

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from triovit.golden.messages import printable

Justify = Literal["left", "right"]
# Of a table: its heading, where its values stand, and, for one that may be left out of a narrow table, when: the
# smallest number first.
Column = tuple[str, Justify] | tuple[str, Justify, int]

FEWEST = 8  # characters that are left of a text that is shortened
GAP = 1  # blanks between columns without lines
FRAME = 3  # characters that a column of a framed table takes besides its values


def fit(columns: Sequence[Column], rows: Sequence[Sequence], width: int | None, ellipsis: str) -> tuple[Table, str]:
    """(the table, a line about columns that were left out or an empty one), at most `width` characters wide; None: as
    wide as it is.

    Framed where that fits. Else without lines and with headings one word per line; then without the columns that may be
    left out; then with texts shortened in the middle, the widest first, down to 8 characters.
    """
    headings = [column[0] for column in columns]
    cells = [[_text(value) for value in row] for row in rows]
    framed = [_width(column) for column in zip(headings, *cells, strict=True)]
    if width is None or sum(framed) + FRAME * len(columns) + 1 <= width:
        return _build(columns, headings, cells, framed=True), ""
    headings = ["\n".join(heading.split(" ")) for heading in headings]
    widths = [_width(column) for column in zip(headings, *cells, strict=True)]
    kept = list(range(len(columns)))
    for k in sorted((k for k in kept if len(columns[k]) == 3), key=lambda k: columns[k][-1]):
        if _open_width(widths, kept) > width:
            kept.remove(k)
    widths = [widths[k] for k in kept]
    texts = [n for n, k in enumerate(kept) if columns[k][1] == "left"]
    while texts and _open_width(widths) > width:
        widest = max(texts, key=lambda n: widths[n])
        if widths[widest] <= FEWEST:
            break
        widths[widest] -= 1
    cells = [[shorten(row[k], most, ellipsis) for k, most in zip(kept, widths, strict=True)] for row in cells]
    left_out = [columns[k][0] for k in range(len(columns)) if k not in kept]
    note = f"left out at {width} columns: {', '.join(left_out)} (a wider terminal and --json have them)"
    built = _build([columns[k] for k in kept], [headings[k] for k in kept], cells, framed=False)
    return built, note if left_out else ""


def shorten(text: str, width: int, ellipsis: str) -> str:
    """`text` in at most `width` characters of a terminal, its middle left out where it is longer."""
    if cell_len(text) <= width:
        return text
    room = max(0, width - cell_len(ellipsis))
    return _most(text, room - room // 2) + ellipsis + _most(text[::-1], room // 2)[::-1]


def _most(text: str, width: int) -> str:
    """The longest beginning of a text that takes at most `width` characters of a terminal."""
    return text[: sum(total <= width for total in accumulate(map(cell_len, text)))]


def _text(value) -> str:
    """Whole numbers get thousands separators; what is no character to print is replaced, so that a row is a line."""
    return f"{value:,}" if isinstance(value, int) else printable(str(value))


def _width(column: Sequence[str]) -> int:
    return max(cell_len(line) for text in column for line in text.split("\n"))


def _open_width(widths: Sequence[int], kept: Sequence[int] | None = None) -> int:
    kept = range(len(widths)) if kept is None else kept
    return sum(widths[k] for k in kept) + GAP * (len(kept) - 1)


def _build(columns, headings, cells, *, framed: bool) -> Table:
    lines = {} if framed else {"box": box.SIMPLE_HEAD, "show_edge": False, "padding": 0}
    result = Table(header_style="bold", **lines)
    for column, heading in zip(columns, headings, strict=True):
        result.add_column(Text(heading), justify=column[1], no_wrap=True)
    for row in cells:
        result.add_row(*map(Text, row))
    return result
