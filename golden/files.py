"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """In a `with` block, a path beside `path` to write to; the file there is renamed to `path` when the block ends.

    The file at `path` is the old one or the new one at any time, also after a loss of power: what was written is on
    the disk before the renaming. A block that raises leaves the old file, and nothing beside it. An OSError that names
    no file, as that of a full disk, or the one beside `path`, is raised as one that names `path`.
    """
    path = Path(path)
    partial = path.with_name(f"{path.name}.partial")
    try:
        yield partial
        _to_disk(partial)
        partial.replace(path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink()
        if isinstance(error, OSError) and error.errno is not None and error.filename in (None, str(partial), partial):
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise


@contextmanager
def whole_files(folder: str | Path) -> Iterator[Path]:
    """In a `with` block, an empty folder to write files to; they are moved to `folder` when the block ends.

    `folder` is made when it is missing. Of its files only those of the same names are replaced, each at once. A block
    that raises leaves everything as it was; an OSError that names no file is raised as one that names `folder`.
    """
    folder = Path(folder)
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder))
    try:
        yield partial
        files = sorted(partial.iterdir())
        for file in files:
            _to_disk(file)
        for file in files:
            file.replace(folder / file.name)
        partial.rmdir()
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        for path in missing:
            with suppress(OSError):  # someone else has put something there
                path.rmdir()
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            raise OSError(error.errno, error.strerror, str(folder)) from None
        raise


def _to_disk(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
