"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """In a `with` block, a path beside `path` to write to; the file there is renamed to `path` when the block ends.

    The file at `path` is the old one or the new one at any time, also after a loss of power: what was written is on
    the disk before the renaming. A block that raises leaves the old file, and nothing beside it. An OSError names
    `path`.
    """
    path = Path(path)
    partial = path.with_name(f"{path.name}.partial")
    try:
        with _named(partial, path):
            yield partial
            to_disk(partial)
            partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


@contextmanager
def whole_files(folder: str | Path) -> Iterator[Path]:
    """In a `with` block, an empty folder to write files to; they are moved to `folder` when the block ends.

    `folder` is made when it is missing. Of its files only those of the same names are replaced, all of them or none:
    an interrupt waits until they are. A block that raises leaves everything as it was. An OSError names the file
    that it would have become.
    """
    folder = Path(folder)
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    partial = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder))
        with _named(partial, folder):
            yield partial
            for file in partial.iterdir():
                to_disk(file)
            with _uninterrupted():
                _replace(partial, folder)
    except BaseException:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
        for path in missing:
            with suppress(OSError):  # someone else has put something there, or it was never made
                path.rmdir()
        raise


def _replace(partial: Path, folder: Path) -> None:
    """Move all files, or put back what was there."""
    files = sorted(partial.iterdir())
    old = Path(tempfile.mkdtemp(prefix=".old-", dir=partial))
    for file in files:
        if (folder / file.name).exists():
            shutil.copy2(folder / file.name, old)
    try:
        for file in files:
            file.replace(folder / file.name)
    except OSError:
        for file in files:
            if (old / file.name).exists():
                (old / file.name).replace(folder / file.name)
            elif not file.exists():  # moved, to where nothing was
                (folder / file.name).unlink()
        raise
    shutil.rmtree(partial)


def to_disk(path: Path) -> None:
    """Have what was written into a file on the disk, so that it outlives a loss of power."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


@contextmanager
def _named(partial: Path, target: Path) -> Iterator[None]:
    """An OSError of writing into `partial` names the file at `target`, which is what was asked for.

    Some name no file: a disk that is full is found when bytes are written. It is the file that was written last.
    """
    try:
        yield
    except OSError as error:
        place = Path(error.filename) if isinstance(error.filename, str | Path) else None
        if place is None and partial.is_dir():
            place = max(partial.iterdir(), key=lambda file: file.stat().st_mtime_ns, default=partial)
        if error.errno is not None and (place is None or place.is_relative_to(partial)):
            error.filename = str(target / place.relative_to(partial) if place and place != partial else target)
            error.filename2 = None
        raise


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C and the request to end wait until the block has ended; only the main thread gets them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
