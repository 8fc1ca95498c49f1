"""Files are the old ones or the new ones, whatever happens."""

import errno
import multiprocessing
import os
import resource
import signal
from pathlib import Path

import pytest

from triovit.golden import files
from triovit.golden.files import whole_file, whole_files

CONTEXT = multiprocessing.get_context("fork")


@pytest.mark.parametrize("convert", [str, lambda path: path])
def test_the_file_appears_at_the_end(tmp_path, convert):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with whole_file(convert(path)) as partial:
        partial.write_text("new")
        assert partial.parent == tmp_path and path.read_text() == "old"
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("begun", [False, True])
def test_a_failure_leaves_the_old_file_alone(tmp_path, error, begun):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), whole_file(path) as partial:
        if begun:
            partial.write_text("half")
        raise error
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"), whole_file(tmp_path / "folder") as partial:
        partial.write_text("new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_files_of_a_folder_appear_at_the_end(tmp_path):
    folder = tmp_path / "new" / "deep"
    for text in ("one", "two"):
        with whole_files(folder) as partial:
            (partial / "a.txt").write_text(text)
            assert not (folder / "a.txt").exists() or (folder / "a.txt").read_text() == "one"
        (folder / "other.txt").write_text("stays")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"a.txt": "two", "other.txt": "stays"}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_files_alone(tmp_path, error):
    old = tmp_path / "old"
    old.mkdir()
    (old / "a.txt").write_text("old")
    for folder in (old, tmp_path / "new" / "deep"):
        with pytest.raises(error), whole_files(folder) as partial:
            (partial / "a.txt").write_text("half")
            raise error
    assert sorted(tmp_path.rglob("*")) == [old, old / "a.txt"] and (old / "a.txt").read_text() == "old"


@pytest.mark.parametrize("named", [None, "partial"])
def test_a_full_disk_is_told_with_the_file(tmp_path, named):
    """Writing to an open file raises an error that names none; opening one names the file beside the target."""
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(OSError) as caught, whole_file(path) as partial:
        partial.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device", named and str(partial))
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(OSError) as caught, whole_files(tmp_path / "new") as folder:
        (folder / "a.txt").write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path / "new" / "a.txt") and list(tmp_path.iterdir()) == [path]


def test_another_file_s_error_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, whole_file(tmp_path / "a.txt"):
        (tmp_path / "nowhere").read_text()
    assert caught.value.filename == str(tmp_path / "nowhere")


def test_nothing_is_replaced_when_one_file_cannot_be(tmp_path):
    """A folder stands where the second of three files would go."""
    (tmp_path / "b.txt").mkdir()
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(OSError, match=r"b\.txt"), whole_files(tmp_path) as partial:
        for name in ("a.txt", "b.txt", "c.txt"):
            (partial / name).write_text("new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_what_was_moved_goes_back_when_the_next_cannot_be(tmp_path, monkeypatch):
    (tmp_path / "b.txt").write_text("old")
    replace = Path.replace

    def fail(path, target):
        if path.name == "c.txt":
            raise OSError(5, "Input/output error", str(path))
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match=f"{tmp_path}/c.txt"), whole_files(tmp_path) as partial:
        for name in ("a.txt", "b.txt", "c.txt"):
            (partial / name).write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["b.txt"]
    assert (tmp_path / "b.txt").read_text() == "old"


def _interrupted(queue, folder):
    """An interrupt that comes while files are moved, as from `kill`."""
    replace, begun = Path.replace, []

    def replace_and_interrupt(path, target):
        begun.append(path)
        if len(begun) == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return replace(path, target)

    Path.replace = replace_and_interrupt  # type: ignore[method-assign]
    try:
        with whole_files(folder) as partial:
            for name in ("a.txt", "b.txt"):
                (partial / name).write_text("new")
    except KeyboardInterrupt:
        queue.put("interrupted")


def test_an_interrupt_waits_until_all_files_have_moved(tmp_path):
    (tmp_path / "b.txt").write_text("old")
    queue = CONTEXT.SimpleQueue()
    process = CONTEXT.Process(target=_interrupted, args=(queue, tmp_path))
    process.start()
    assert queue.get() == "interrupted"
    process.join()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a.txt": "new", "b.txt": "new"}


def _full(queue, path, many):
    """The error of writing more than a limit on the size of files allows, as on a full disk: it names no file."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 10, 1 << 10))
    try:
        with whole_files(path.parent) if many else whole_file(path) as partial:
            if many:
                (partial / "small.txt").write_text("new")
            (partial / path.name if many else partial).write_bytes(bytes(1 << 20))
    except OSError as error:
        queue.put((error.filename, error.strerror))


@pytest.mark.parametrize("many", [False, True])
def test_a_full_disk_names_the_file_and_leaves_the_old_one(tmp_path, many):
    path = tmp_path / "a.txt"
    path.write_text("old")
    queue = CONTEXT.SimpleQueue()
    process = CONTEXT.Process(target=_full, args=(queue, path, many))
    process.start()
    assert queue.get() == (str(path), "File too large")
    process.join()
    assert list(tmp_path.iterdir()) == [path] and path.read_text() == "old"


def test_signals_are_as_before(tmp_path):
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with files._uninterrupted():
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
