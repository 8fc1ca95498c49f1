"""Fenced blocks of the documentation, and whether they tell what was printed."""

from __future__ import annotations

import re
from pathlib import Path

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
# What differs from run to run and from machine to machine: seconds and speeds.
VARYING = re.compile(r"\d[\d.,]* (s|seconds|thousand cycles)\b")


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
