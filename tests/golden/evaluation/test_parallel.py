"""Work over real processes and real clusters: results, lost workers, wrong addresses, wrong workers."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time

import dask
import pytest
from distributed import Client

from tests.golden.conftest import local_cluster
from triovit.golden.evaluation import parallel
from triovit.golden.evaluation.parallel import ParallelError, describe, fan_out

ITEMS = [3, 1, 4, 1, 5, 9, 2, 6]


class Square:
    """Also tells the process, and how often this process has been asked: its state is kept from item to item."""

    def __init__(self):
        self.state = bytes(100_000)
        self.calls = 0

    def __call__(self, item):
        self.calls += 1
        return item * item, os.getpid(), self.calls


class DiesOnce:
    """Its process is killed at the item 9 unless another one has been: no exception, no goodbye."""

    def __init__(self, marker):
        self.marker = marker

    def __call__(self, item):
        if item == 9 and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return item


def dies(item):
    os.kill(os.getpid(), signal.SIGKILL)


def divides(item):
    return 12 // (item - 4)


def check(results):
    results = dict(results)
    assert [results[index][0] for index in range(len(ITEMS))] == [item * item for item in ITEMS]
    return results.values()


def test_one_process_is_this_one_and_in_order():
    progress = []
    results = list(fan_out(Square(), ITEMS, progress=lambda *counts: progress.append(counts)))
    assert [index for index, _ in results] == list(range(8))
    assert {process for _, process, _ in check(results)} == {os.getpid()}
    assert progress == [(done, 8) for done in range(1, 9)]


def test_two_processes():
    progress = []
    values = check(fan_out(Square(), ITEMS, processes=2, progress=lambda *counts: progress.append(counts)))
    processes = {process for _, process, _ in values}
    assert os.getpid() not in processes and len(processes) <= 2
    for process in processes:  # one object a process, whatever the order of its items
        calls = sorted(calls for _, other, calls in values if other == process)
        assert calls == list(range(1, len(calls) + 1))
    assert progress == [(done, 8) for done in range(1, 9)]


def test_a_cluster_by_its_address(cluster, address):
    workers = {worker.pid for worker in cluster.workers.values()}
    assert {process for _, process, _ in check(fan_out(Square(), ITEMS, scheduler=address))} <= workers
    assert [value for _, value in sorted(fan_out(str, ITEMS, scheduler=address))] == [str(item) for item in ITEMS]


def test_who_stops_early_leaves_nothing_behind(cluster, address):
    results = fan_out(Square(), range(500), scheduler=address)
    next(results)
    results.close()
    deadline = time.monotonic() + 20
    while cluster.scheduler.tasks and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not cluster.scheduler.tasks


@pytest.mark.parametrize("distributed", [False, True])
def test_an_exception_of_the_function_is_raised(distributed, address):
    with pytest.raises(ZeroDivisionError):
        list(fan_out(divides, ITEMS, scheduler=address if distributed else None))


def test_no_items_need_no_cluster():
    assert list(fan_out(dies, [], scheduler="tcp://127.0.0.1:1")) == []


def test_processes_are_counted():
    with pytest.raises(ValueError, match="processes must be at least 1, not 0"):
        list(fan_out(str, ITEMS, processes=0))


def test_a_lost_worker_s_item_runs_again(tmp_path):
    marker = tmp_path / "died"
    results = dict(fan_out(DiesOnce(marker), ITEMS, processes=2))
    assert marker.exists()
    assert [results[index] for index in range(8)] == ITEMS


def test_an_item_that_kills_every_worker():
    with dask.config.set({"distributed.scheduler.allowed-failures": 1}):
        with pytest.raises(ParallelError, match="the local cluster: 2 workers died over the same item"):
            list(fan_out(dies, [1, 2], processes=2))


def test_nobody_at_the_address(monkeypatch):
    monkeypatch.setattr(parallel, "CONNECT_SECONDS", 0.5)
    with socket.socket() as bound:  # a port that nobody listens at
        bound.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{bound.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(ParallelError, match=f"^no Dask scheduler at {address} .*: Timed out") as caught:
            list(fan_out(str, ITEMS, scheduler=address))
    assert time.monotonic() - started < 10
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("address", ["nowhere", "tcp://127.0.0.1:port", "tcp://127.0.0.1", "tcp://:8786", "", " "])
def test_what_is_no_address(monkeypatch, address):
    """Found without Dask, whose client would not end without a word."""
    monkeypatch.setattr("distributed.Client", None)
    with pytest.raises(ParallelError, match=f"^no Dask scheduler at '{address}': must be an address such as tcp://"):
        list(fan_out(str, ITEMS, scheduler=address))


def test_an_address_of_no_protocol_of_dask_s():
    with pytest.raises(ParallelError, match=r"^no Dask scheduler at http://127\.0\.0\.1:80 "):
        list(fan_out(str, ITEMS, scheduler="http://127.0.0.1:80"))


def test_an_address_without_a_protocol(address):
    assert len(dict(fan_out(str, ITEMS, scheduler=address.removeprefix("tcp://")))) == 8


def test_something_else_at_the_address(monkeypatch):
    monkeypatch.setattr(parallel, "CONNECT_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 20)
            connection.close()

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(ParallelError, match=r"^no Dask scheduler at "):
            list(fan_out(str, ITEMS, scheduler=f"tcp://127.0.0.1:{server.getsockname()[1]}"))


def test_a_cluster_without_workers(monkeypatch):
    monkeypatch.setattr(parallel, "WORKER_SECONDS", 0.5)
    with local_cluster(0) as empty:
        with pytest.raises(ParallelError, match=r"the cluster has no workers \(waited 0.5 s\)"):
            list(fan_out(str, ITEMS, scheduler=empty.scheduler_address))


def test_a_cluster_that_is_lost():
    with local_cluster(1) as other:
        results = fan_out(time.sleep, [0.2] * 20, scheduler=other.scheduler_address)
        next(results)
        other.close()
        with pytest.raises(ParallelError, match="the connection was lost"):
            list(results)


def test_description():
    found = describe()
    assert found["python"] == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert {"numpy", "torch", "pillow", "distributed", "triovit source"} < set(found)
    assert len(found["triovit source"]) == 12


@pytest.mark.parametrize("name", ["numpy", "torch"])
def test_workers_with_another_package(monkeypatch, address, name):
    real = describe()
    monkeypatch.setattr(parallel, "version", lambda package: "0.1" if package == name else real[package])
    with pytest.raises(ParallelError, match=r"^worker tcp://") as caught:
        list(fan_out(str, ITEMS, scheduler=address))
    assert str(caught.value).endswith(f" has {name} {real[name]}, this process has 0.1")


def test_a_worker_without_this_program(cluster, address):
    code = (
        "import sys; sys.modules['triovit.golden'] = None\n"
        "from distributed.cli.dask_worker import main\n"
        f"main(['{address}', '--no-dashboard', '--no-nanny', '--nthreads', '1'])"
    )
    worker = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(3, timeout=60)
        with pytest.raises(ParallelError, match=r"cannot run this program: .*golden"):
            list(fan_out(str, ITEMS, scheduler=address))
    finally:
        worker.terminate()
        worker.wait()
    deadline = time.monotonic() + 20
    while len(cluster.scheduler.workers) > 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(dict(fan_out(str, ITEMS, scheduler=address))) == 8


def test_ctrl_c_ends_workers_without_a_word(tmp_path):
    """A terminal sends it to all processes at once."""
    script = tmp_path / "script.py"
    script.write_text(
        "import time\n"
        "from triovit.golden.evaluation.parallel import fan_out\n"
        "if __name__ == '__main__':\n"
        "    try:\n"
        "        for _ in fan_out(time.sleep, [0.05] * 2000, processes=2):\n"
        "            print('one', flush=True)\n"
        "    except KeyboardInterrupt:\n"
        "        print('interrupted')\n"
    )
    process = subprocess.Popen(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Tests that a shell runs in the background would hand down that interrupts are ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout.readline() == "one\n"
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (out.splitlines()[-1], err) == ("interrupted", "")
    deadline = time.monotonic() + 30
    while group_lives(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not group_lives(process.pid)


def group_lives(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
