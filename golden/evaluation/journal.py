"""The journal of an evaluation: predictions as JSON lines, so that an interrupted evaluation can be continued.

The first line says what was evaluated. Every further line holds the predictions of a chunk of images (see
`golden.evaluation.accuracy.Chunk`) and is written at once. What a crash left of a last line is cut off.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

from triovit.golden.errors import TriovitError
from triovit.golden.evaluation.accuracy import TOP, Chunk

FORMAT = "triovit-evaluation-journal"
VERSION = 1


class JournalError(TriovitError, ValueError):
    """A journal that cannot be used; the message is one line."""


def identity_key(identity: dict) -> str:
    """SHA-256, as hexadecimal, of what an evaluation is: JSON values by name."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


class Journal:
    """A journal file, opened for reading and adding, and locked until `close` (or the end of a `with` block).

    Parameters
    ----------
    path: the file; it and its folder are made if missing.
    identity: JSON values by name that tell this evaluation from others, and whose equality makes two evaluations give
    the same predictions. images: number of images, and outputs: of classes, for checks of the file.
    fresh: what a journal at `path` holds is dropped.

    chunks: what the file holds; only read when it is opened. Raises JournalError when the file is of another evaluation
    (naming the values that differ), is damaged, no journal at all, or in use by another process.
    """

    def __init__(self, path, identity: dict, images: int, outputs: int, fresh: bool = False):
        self.path = Path(path)
        self.chunks: list[Chunk] = []
        self._images, self._outputs = images, outputs
        identity = json.loads(json.dumps(identity))  # as it is read back
        header = {"format": FORMAT, "version": VERSION, "key": identity_key(identity), "identity": identity}
        line = _line(header)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("a+b")
        try:
            self._lock()
            content = self._content()
            if line.startswith(content):  # new, or cut within its first line
                self._start(line)
                return
            found = self._header(content)
            if fresh:
                self._start(line)
                return
            self._compare(found, header)
            self._read(content)
        except BaseException:
            self.close()
            raise

    def append(self, chunk: Chunk) -> None:
        """Add a line; it is on the disk when this returns."""
        self._write(_line(vars(chunk)))

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *error) -> None:
        self.close()

    def _lock(self):
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise JournalError(f"{self.path}: another evaluation is writing this journal") from None
        except OSError:  # a file system without locks
            return

    def _content(self) -> bytes:
        self._file.seek(0)
        return self._file.read()

    def _write(self, line: bytes):
        self._file.write(line)
        self._file.flush()
        os.fsync(self._file.fileno())

    def _start(self, header: bytes):
        self._file.truncate(0)
        self._write(header)

    def _header(self, content: bytes) -> dict:
        with suppress(ValueError):
            header = json.loads(content.partition(b"\n")[0])
            if isinstance(header, dict) and header.get("format") == FORMAT:
                return header
        raise JournalError(f"{self.path}: is no journal of an evaluation")

    def _compare(self, found: dict, expected: dict):
        if found.get("version") != VERSION:
            raise JournalError(f"{self.path}: has version {found.get('version')!r}, this program reads {VERSION}")
        old, new = found.get("identity"), expected["identity"]
        if old != new:
            old = old if isinstance(old, dict) else {}
            names = [name for name in new if name not in old or old[name] != new[name]]
            names += [name for name in old if name not in new]
            raise JournalError(f"{self.path}: is the journal of another evaluation (it differs in {', '.join(names)})")

    def _read(self, content: bytes):
        lines = content.split(b"\n")
        good = len(lines[0]) + 1
        for number, line in enumerate(lines[1:-1], start=2):
            chunk = self._parse(line)
            if chunk is None and number < len(lines) - 1:
                raise JournalError(f"{self.path}: line {number} is damaged")
            if chunk is not None:
                self.chunks.append(chunk)
                good += len(line) + 1
        if good < len(content):
            self._file.truncate(good)

    def _parse(self, line: bytes) -> Chunk | None:
        """The chunk of a line; None if it is not one that `append` writes for this evaluation."""
        try:
            value = json.loads(line)
            chunk = Chunk(value["index"], value["label"], value["top"], [(k, text) for k, text in value["broken"]])
            width = min(TOP, self._outputs)
            sound = (
                len(chunk.index) == len(chunk.label) == len(chunk.top)
                and all(_within(self._images, k) for k in [*chunk.index, *(k for k, _ in chunk.broken)])
                and all(_within(self._outputs, c) for c in chunk.label)
                and all(len(top) == width and all(_within(self._outputs, c) for c in top) for top in chunk.top)
                and all(isinstance(text, str) for _, text in chunk.broken)
            )
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        return chunk if sound else None


def _line(value: dict) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def _within(count: int, value) -> bool:
    return type(value) is int and 0 <= value < count
