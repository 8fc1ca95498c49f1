"""Files are the old ones or the new ones, whatever happens."""

import errno

import pytest

from triovit.golden.files import whole_file, whole_files


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
    assert caught.value.filename == str(tmp_path / "new") and list(tmp_path.iterdir()) == [path]


def test_another_file_s_error_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, whole_file(tmp_path / "a.txt"):
        (tmp_path / "nowhere").read_text()
    assert caught.value.filename == str(tmp_path / "nowhere")
