"""Kept folders: one writer, whole folders only, whatever becomes of the writer; told in a line what cannot be."""

import multiprocessing
import os
import resource
import signal
import tempfile
import time
from pathlib import Path

import pytest

from triovit.sim import cache
from triovit.sim.cache import BuildFolderError, build_root, content_key, kept, locked

TEXT = "// a line of Verilog\n" * 33000
CONTEXT = multiprocessing.get_context("fork")


def test_builds_go_to_the_current_folder_or_where_they_are_sent(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRIOVIT_BUILD", raising=False)
    assert build_root() == tmp_path / "build"
    for named, expected in (("", "build"), ("elsewhere", "elsewhere"), (str(tmp_path / "a"), "a")):
        monkeypatch.setenv("TRIOVIT_BUILD", named)
        assert build_root() == tmp_path / expected


def test_key_changes_with_contents(tmp_path):
    file = tmp_path / "a.v"
    file.write_text("1")
    first = content_key("x", file)
    assert first == content_key("x", file) == content_key(b"x", b"1")
    assert len({first, content_key("xa", file), content_key("x1"), content_key("x", "", file)}) == 4
    file.write_text("2")
    assert content_key("x", file) != first


def test_a_folder_is_made_once(tmp_path):
    made = []

    def make(partial):
        made.append(partial)
        (partial / "a").write_text("1")
        assert not (tmp_path / "deep" / "key").exists()

    for _ in range(2):
        assert kept(tmp_path / "deep" / "key", make, "making it") == tmp_path / "deep" / "key"
    assert len(made) == 1 and [path.name for path in (tmp_path / "deep").iterdir()] == ["key"]
    assert (tmp_path / "deep" / "key").stat().st_mode & 0o777 == 0o777 & ~cache._umask()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_nothing(tmp_path, error):
    def make(partial):
        (partial / "a").write_text("half")
        raise error

    with pytest.raises(error):
        kept(tmp_path / "key", make, "making it")
    assert not list(tmp_path.iterdir())


def _read(folder, gate, log):
    """Wait for the others, then make the folder or find it, and look at it."""

    def make(partial):
        with log.open("a") as file:
            file.write("made\n")
        half = len(TEXT) // 2
        with (partial / "triovit.v").open("w") as file:
            file.write(TEXT[:half])
            file.flush()
            time.sleep(0.05)
            file.write(TEXT[half:])

    gate.wait()
    whole = (kept(folder, make, "writing") / "triovit.v").read_text() == TEXT
    with log.open("a") as file:
        file.write(f"{'whole' if whole else 'torn'}\n")


def run(workers):
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return [worker.exitcode for worker in workers]


@pytest.mark.parametrize("locks", [True, False])
def test_processes_that_come_together_see_whole_files(tmp_path, locks, monkeypatch):
    """Also where the file system knows no locks: then several write, and one is first."""
    if not locks:
        monkeypatch.setattr(cache.fcntl, "flock", refuse)
    gate, log = CONTEXT.Barrier(6), tmp_path / "log"
    codes = run([CONTEXT.Process(target=_read, args=(tmp_path / "b" / "key", gate, log)) for _ in range(6)])
    words = log.read_text().split()
    assert codes == [0] * 6 and words.count("whole") == 6 and "torn" not in words
    if locks:
        assert words.count("made") == 1
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["key"]


def refuse(*_):
    raise OSError(37, "No locks available")


def _die(folder, ready):
    def make(partial):
        (partial / "triovit.v").write_text("half")
        ready.set()
        time.sleep(60)

    kept(folder, make, "dying")


def test_a_killed_writer_blocks_nobody(tmp_path):
    ready = CONTEXT.Event()
    writer = CONTEXT.Process(target=_die, args=(tmp_path / "key", ready))
    writer.start()
    assert ready.wait(30)
    told = []

    def progress(label, done, total):
        if not told:
            assert writer.pid and writer.is_alive()
            os.kill(writer.pid, signal.SIGKILL)
        told.append(label)

    kept(tmp_path / "key", lambda partial: (partial / "triovit.v").write_text("whole"), "writing it", progress)
    writer.join()
    assert told[0] == f"waiting for process {writer.pid} on {os.uname().nodename}, which is writing it"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]  # nothing of the killed one is left
    assert (tmp_path / "key" / "triovit.v").read_text() == "whole"


def test_without_progress_the_log_tells_once_who_is_waited_for(tmp_path, caplog):
    ready = CONTEXT.Event()

    def hold():
        with locked(tmp_path / "lock", "holding"):
            ready.set()
            time.sleep(0.7)

    holder = CONTEXT.Process(target=hold)
    holder.start()
    assert ready.wait(30)
    with locked(tmp_path / "lock", "holding"):
        pass
    holder.join()
    assert [record.getMessage().split(", ")[1] for record in caplog.records] == ["which is holding"]


def _hold(path, log):
    with locked(path, "holding"):
        for word in ("in", "out"):
            with log.open("a") as handle:
                handle.write(f"{word}\n")
            time.sleep(0.05)


def test_lock_excludes(tmp_path):
    log = tmp_path / "log"
    run([CONTEXT.Process(target=_hold, args=(tmp_path / "lock", log)) for _ in range(4)])
    assert log.read_text().split() == ["in", "out"] * 4


def _as_nobody(queue, folder, work):
    """What `kept` raises for a user who may not write; root may everywhere."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setuid(65534)
    try:
        queue.put(kept(folder, work, "writing").name)
    except BuildFolderError as error:
        queue.put(error.line())


def told(folder, work):
    queue = CONTEXT.SimpleQueue()
    run([CONTEXT.Process(target=_as_nobody, args=(queue, folder, work))])
    assert not queue.empty(), "the process has ended in another way"
    return queue.get()


@pytest.fixture
def shared_folder():
    """A folder that every user may reach, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


def write(partial):
    (partial / "a").write_bytes(bytes(1 << 20))


def test_read_only_folder(shared_folder):
    """What is there is used; what is not is refused in a line with the remedy."""
    folder = shared_folder
    kept(folder / "old", write, "writing")
    folder.chmod(0o555)
    for path in (folder / "new", folder / "deep" / "new"):
        assert told(path, write) == f"{path.parent}: Permission denied; {cache.REMEDY}"
    assert told(folder / "old", write) == "old"
    folder.chmod(0o755)


def test_full_disk(shared_folder):
    """A limit on the size of files fails as a full disk does: when bytes are written."""

    def limited(partial):
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 10, 1 << 10))
        write(partial)

    assert told(shared_folder / "key", limited) == f"{shared_folder}: File too large; {cache.REMEDY}"
    assert not list(shared_folder.iterdir())


def test_a_file_in_the_folder_s_place(tmp_path):
    (tmp_path / "file").write_text("here")
    with pytest.raises(BuildFolderError, match=r"file/verilog: (Not a directory|File exists); builds go to"):
        kept(tmp_path / "file" / "verilog" / "key", write, "writing")


def test_errors_of_other_files_keep_their_name(tmp_path):
    with pytest.raises(FileNotFoundError, match="elsewhere"):
        kept(tmp_path / "key", lambda partial: Path("/elsewhere/file").read_bytes(), "reading")
