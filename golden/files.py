"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """In a `with` block, a path beside `path` to write to; the file there is renamed to `path` when the block ends.

    The file at `path` is the old one or the new one at any time, also after a loss of power: what was written is on
    the disk before the renaming. A block that raises leaves the old file, and nothing beside it.
    """
    path = Path(path)
    partial = path.with_name(f"{path.name}.partial")
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise
