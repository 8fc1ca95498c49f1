"""Parts of one-line messages."""

from __future__ import annotations

import re
from collections.abc import Sequence

NAMES_SHOWN = 4
CHARACTERS_SHOWN = 200
# Control characters, which terminals obey, separators of lines, and bytes of a file's name that are no UTF-8.
NOT_PRINTABLE = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ud800-\\udfff]")


def listing(names: Sequence[str]) -> str:
    """The first names, and how many more there are: "a, b, c, d and 3 more"."""
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more


def first_line(error: BaseException) -> str:
    """The first line of another program's error, cut to 200 characters; its type if it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0][:CHARACTERS_SHOWN] if lines else type(error).__name__


def printable(text: str) -> str:
    """`text` with U+FFFD in the place of every character that no terminal can show and no UTF-8 file can hold."""
    return NOT_PRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)
