"""Images that cannot be read: refused with a word about --skip-broken, or passed over, counted and listed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from triovit.flow.output import say
from triovit.flow.progress import steps
from triovit.golden.data.broken import Broken, readable
from triovit.golden.data.folders import Images, Selection
from triovit.golden.data.images import ImageError

SHOWN = 10  # messages; --json has all


def add_skip_option(parser) -> None:
    parser.add_argument(
        "--skip-broken",
        action="store_true",
        help="pass over images that cannot be read, count and list them (default: stop at the first)",
    )


@contextmanager
def told_to_skip() -> Iterator[None]:
    """In a `with` block that reads images: an error about one names the option that would pass over it."""
    try:
        yield
    except ImageError as error:
        raise ImageError(f"{error}; --skip-broken passes over such images") from None


def without_broken(images: Images, resolution: int, skip: bool) -> tuple[Selection, Broken]:
    """All images; with `skip` those that can be read, and (place, message) of the others, which are listed."""
    if not skip:
        return Selection(images, range(len(images))), ()
    with steps("checking images") as update:
        good, broken = readable(images, resolution, lambda done, total: update("checking images", done, total))
    if broken:
        say(f"{len(broken):,} of {len(images):,} images could not be read and are not counted:")
        for _, message in broken[:SHOWN]:
            say(f"  {message}")
        if len(broken) > SHOWN:
            say(f"  and {len(broken) - SHOWN:,} more (--json has them all)")
    return good, broken


def left_out(broken: Broken) -> str:
    """What a line about a number of images says besides."""
    return f", {len(broken):,} more could not be read" if broken else ""


def to_json(broken: Broken) -> list[dict]:
    return [{"index": index, "error": message} for index, message in broken]
