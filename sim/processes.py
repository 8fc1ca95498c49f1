"""Programs that the project starts, and that end with it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence

GRACE_SECONDS = 2  # from the request to end to the end by force


@contextlib.contextmanager
def child(command: Sequence, **options) -> Iterator[subprocess.Popen]:
    """A process for the time of a `with` block; when the block is left by an error or an interrupt it is ended, with
    all that it has started (make's compilers, the program behind Verilator's script).

    command: words; options: of `subprocess.Popen`. A block that ends well must have waited for the process.
    """
    words = [str(word) for word in command]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, process_group=0, **options) as process:
        try:
            yield process
        except BaseException:
            _end_group(process)
            raise


def _end_group(process: subprocess.Popen) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_SECONDS)
    with contextlib.suppress(ProcessLookupError):  # all have gone
        os.killpg(process.pid, signal.SIGKILL)
