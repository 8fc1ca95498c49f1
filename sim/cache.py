"""What can be rebuilt is kept in folders named after all that it depends on; each appears whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from triovit.golden.errors import TriovitError
from triovit.golden.files import to_disk

# Called with what is going on, how much of it is done and how much there is; 0 of 0 when that is not known.
Progress = Callable[[str, int, int], None]

REMEDY = "builds go to ./build or to the folder that TRIOVIT_BUILD names: name one that can be written"
PAUSE_SECONDS = 0.2  # between two looks at a lock

_log = logging.getLogger(__name__)


class BuildFolderError(TriovitError, OSError):
    """The folder of builds cannot be written: it is read-only, full, or no folder. The message names it."""


def build_root() -> Path:
    """Folder of everything that can be rebuilt: what TRIOVIT_BUILD names, else `build` of the current folder; absolute.

    Never a place of the installation, which may be read-only.
    """
    return Path(os.environ.get("TRIOVIT_BUILD") or "build").absolute()


def content_key(*parts: str | bytes | Path) -> str:
    """Sixteen hex digits over `parts`, each with its length: texts, bytes, or files whose contents count."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def writable(folder: Path) -> Iterator[None]:
    """A `with` block that writes into a folder of builds: raises BuildFolderError, with the remedy, where it cannot."""
    try:
        yield
    except BuildFolderError:
        raise
    except OSError as error:
        place = Path(error.filename) if isinstance(error.filename, str) else folder
        if not (place.is_relative_to(folder) or folder.is_relative_to(place)):
            raise
        raise BuildFolderError(f"{folder}: {error.strerror or error}; {REMEDY}") from error


def kept(folder: Path, make: Callable[[Path], None], what: str, progress: Progress | None = None) -> Path:
    """`folder`, made with `make(partial)` unless it is there: by one process, the others wait for it.

    make: writes everything into the empty folder that it is given, which then gets its name; until then, and when
    it fails or is killed, nobody sees any of it. what: for those who wait. A folder that is there is only read, so
    that it may be another user's. Raises BuildFolderError, and what `make` raises.
    """
    if folder.is_dir():
        return folder
    with writable(folder.parent):
        folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_name(f"{folder.name}.lock"), what, progress) as alone:
        if not folder.is_dir():
            _make(folder, make, alone)
    return folder


def _make(folder: Path, make: Callable[[Path], None], alone: bool) -> None:
    with writable(folder.parent):
        if alone:  # then what is there is of a process that was killed
            for left in folder.parent.glob(f"{folder.name}.partial-*"):
                shutil.rmtree(left, ignore_errors=True)
        partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}.partial-", dir=folder.parent))
        try:
            make(partial)
            for file in partial.rglob("*"):
                if file.is_file():
                    to_disk(file)
            partial.chmod(0o777 & ~_umask())  # mkdtemp's folders are private
            try:
                partial.rename(folder)
            except OSError:
                if not folder.is_dir():  # where locks do not work another process may have been faster
                    raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value


@contextlib.contextmanager
def locked(path: Path, what: str, progress: Progress | None = None) -> Iterator[bool]:
    """Hold an exclusive lock on `path`, telling for whom and what it waits; a holder that is killed holds it no more.

    what: that is done by who holds it. Where the file system knows no locks the block runs without, and gets False.
    """
    with writable(path.parent), _lock(path, what, progress or _warn_once()) as alone:
        try:
            yield alone
        finally:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def _lock(path: Path, what: str, progress: Progress) -> Iterator[bool]:
    while True:
        with path.open("a+", encoding="utf-8") as file:
            while (alone := _try_lock(file)) is False:
                file.seek(0)
                progress(f"waiting for {file.read().strip() or 'another process'}, which is {what}", 0, 0)
                time.sleep(PAUSE_SECONDS)
            if not _is(file, path):  # its last holder has removed it
                continue
            file.truncate(0)
            file.write(f"process {os.getpid()} on {os.uname().nodename}\n")
            file.flush()
            yield bool(alone)
            return


def _is(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _try_lock(file: IO[str]) -> bool | None:
    """Whether the lock is held now; None where there are no locks."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            raise
        return None
    return True


def _warn_once() -> Progress:
    """Without progress the first line is a warning of Python's log, which goes to standard error."""
    seen: list[str] = []

    def told(label: str, done: int, total: int) -> None:
        if not seen:
            _log.warning(label)
            seen.append(label)

    return told
