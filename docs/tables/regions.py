"""Regions of hand-written pages that the code fills.

    <!-- generated: NAME -->
    ...
    <!-- end -->

NAME is that of a function in `docs.tables.contents`, and what stands between the two lines is what it returns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PLACES = ("*.md", "docs/**/*.md", "golden/**/*.md")
BEGIN = re.compile(r"^<!-- generated: (.+) -->\n", re.MULTILINE)
END = "<!-- end -->\n"


class Region(NamedTuple):
    """A generated part of a page: the table's name, and where its text begins and ends in the page's."""

    name: str
    begin: int
    end: int


def pages(root: Path = ROOT) -> list[Path]:
    """All pages, whether they have regions or not."""
    return sorted({path for place in PLACES for path in root.glob(place)})


def regions(text: str) -> Iterator[Region]:
    """Regions of a page in their order. Raises ValueError for one that does not end before the next begins."""
    for begin in BEGIN.finditer(text):
        end, following = text.find(END, begin.end()), BEGIN.search(text, begin.end())
        if end < 0 or (following and following.start() < end):
            raise ValueError(f"the region '{begin[1]}' has no line '{END.strip()}'")
        yield Region(begin[1], begin.end(), end)


def filled(text: str, contents: Mapping[str, Callable[[], str]]) -> str:
    """The page with every region as the code has it now. Raises ValueError for a name without a table."""
    for region in reversed(list(regions(text))):
        if region.name not in contents:
            raise ValueError(f"there is no table '{region.name}' in docs/tables/contents.py")
        text = text[: region.begin] + contents[region.name]() + text[region.end :]
    return text
