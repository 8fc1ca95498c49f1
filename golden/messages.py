"""Parts of one-line messages."""

from __future__ import annotations

from collections.abc import Sequence

NAMES_SHOWN = 4
CHARACTERS_SHOWN = 200


def listing(names: Sequence[str]) -> str:
    """The first names, and how many more there are: "a, b, c, d and 3 more"."""
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more


def first_line(error: BaseException) -> str:
    """The first line of another program's error, cut to 200 characters; its type if it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0][:CHARACTERS_SHOWN] if lines else type(error).__name__
