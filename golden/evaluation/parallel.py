"""One function over many items: in this process, over processes of this machine, or over a Dask cluster.

Dask sends functions and results as pickles over its sockets: give it only schedulers that you trust. The local cluster
listens on this machine's loopback address alone.
"""

from __future__ import annotations

import hashlib
import logging
import pickle
import platform
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from triovit.golden.errors import TriovitError
from triovit.golden.messages import first_line

PACKAGES = ("numpy", "torch", "pillow", "distributed")
ADDRESS = r"(\w+://)?[^\s/]+:\d+"  # what Dask takes; of anything else it makes a client that does not end well
LOOPBACK = "127.0.0.1"
# Ctrl-C reaches all processes of a terminal: this one ends its workers, they need not tell their tracebacks.
IGNORE_INTERRUPTS = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
CONNECT_SECONDS = 5
LOGGERS = ("distributed", "distributed.client")  # those to which Dask gives handlers
WORKER_SECONDS = 15  # until a cluster has its first worker

Progress = Callable[[int, int], None]  # (items done, items in all)


class ParallelError(TriovitError, RuntimeError):
    """A cluster that cannot be used, or was lost; the message is one line."""


def fan_out(
    function: Callable[[Any], Any],
    items: Sequence,
    *,
    scheduler: str | None = None,
    processes: int = 1,
    progress: Progress | None = None,
) -> Iterator[tuple[int, Any]]:
    """(index of the item, function(item)) for every item, as they complete; in order with one process.

    function: anything that can be pickled; an object with state (a network, say) is sent once to a worker, not once
    an item, and is kept there for all its items. items: small values, sent one a task.
    scheduler: address of a Dask scheduler, tcp://host:port, whose workers run the items. processes: without a
    scheduler, worker processes on this machine, one thread each, at least 1; 1 means this process, without Dask.
    An item whose worker is lost runs again on another one.

    Raises what `function` raises; ValueError for `processes`; ParallelError for a scheduler that cannot be reached or
    has no workers, for workers whose program or packages are not this process's, and for a cluster that is lost.
    """
    if processes < 1:
        raise ValueError(f"processes must be at least 1, not {processes}")
    if not items:
        return
    if scheduler is not None and not re.fullmatch(ADDRESS, scheduler):
        raise ParallelError(f"no Dask scheduler at {scheduler!r}: must be an address such as tcp://host:port")
    results = _results(function, items, scheduler, min(processes, len(items)))
    for done, (index, result) in enumerate(results, start=1):
        if progress:
            progress(done, len(items))
        yield index, result


def describe() -> dict[str, str]:
    """What must be the same in all processes for the same results: Python, packages, and this program's own source."""
    source = hashlib.sha256()
    root = Path(__file__).resolve().parents[1]
    for path in sorted(root.rglob("*.py")):
        source.update(f"{path.relative_to(root).as_posix()}\n".encode() + path.read_bytes())
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, **{name: version(name) for name in PACKAGES}, "triovit source": source.hexdigest()[:12]}


def _results(function, items, scheduler, processes):
    if scheduler is None and processes <= 1:
        yield from ((index, function(item)) for index, item in enumerate(items))
        return
    # Imported only here: Dask takes its time, and most runs do without it.
    import cloudpickle
    from distributed import KilledWorker, as_completed

    where = scheduler or "the local cluster"
    with _client(scheduler, processes) as client:
        # A task makes the payload, so that Dask can make it again when the worker that holds it is lost.
        with warnings.catch_warnings(action="ignore"):  # about its size: it goes over the scheduler once
            payload = client.submit(bytes, cloudpickle.dumps(function), pure=False)
        tasks = client.map(_call, items, payload=payload, pure=False)
        indices = {task.key: index for index, task in enumerate(tasks)}
        try:
            for task in as_completed(tasks, loop=client.loop):
                yield indices[task.key], task.result()
                task.release()
        except KilledWorker as error:
            raise ParallelError(
                f"{where}: {error.allowed_failures + 1} workers died over the same item: "
                "out of memory? smaller batches or fewer processes need less"
            ) from None
        except CancelledError:
            raise ParallelError(f"{where}: the connection was lost") from None


def _call(item, payload: bytes):
    return _unpickle(payload)(item)


@lru_cache(maxsize=1)  # of a worker: the function of the work at hand
def _unpickle(payload: bytes) -> Callable:
    return pickle.loads(payload)


@contextmanager
def _client(scheduler: str | None, processes: int):
    """A client of the scheduler, or of a cluster of `processes` processes that ends with it."""
    from distributed import Client, LocalCluster

    # No log lines of Dask's from now on (some come after the end): what matters of them is raised as errors.
    for name in LOGGERS:
        logging.getLogger(name).handlers = [logging.NullHandler()]
    with ExitStack() as stack:
        address: Any = scheduler
        if scheduler is None:
            address = LocalCluster(
                n_workers=processes,
                threads_per_worker=1,
                processes=True,
                memory_limit=0,
                host=LOOPBACK,
                dashboard_address=f"{LOOPBACK}:0",
                scheduler_kwargs={"dashboard": False},
                preload=IGNORE_INTERRUPTS,
                silence_logs=logging.CRITICAL,
            )
            stack.enter_context(address)
        try:
            with warnings.catch_warnings(action="ignore"):  # about versions: _check_workers refuses them
                client = stack.enter_context(Client(address, timeout=CONNECT_SECONDS, set_as_default=False))
        except Exception as error:  # what answers at a wrong address can be anything
            raise ParallelError(f"no Dask scheduler at {address} (tcp://host:port): {first_line(error)}") from None
        _check_workers(client, address)
        try:
            yield client
        except KeyboardInterrupt:
            with suppress(Exception):  # what goes wrong while a cluster is torn down must not hide the interrupt
                stack.close()
            raise


def _check_workers(client, scheduler) -> None:
    """Raise ParallelError unless there are workers and all of them compute what this process would compute."""
    try:
        client.wait_for_workers(1, timeout=WORKER_SECONDS)
    except TimeoutError:
        raise ParallelError(f"{scheduler}: the cluster has no workers (waited {WORKER_SECONDS} s)") from None
    expected = describe()
    for worker, found in client.run(describe, on_error="return").items():
        if not isinstance(found, dict):
            raise ParallelError(f"worker {worker} cannot run this program: {first_line(found)}")
        for name, value in expected.items():
            if found.get(name) != value:
                raise ParallelError(f"worker {worker} has {name} {found.get(name)}, this process has {value}")
