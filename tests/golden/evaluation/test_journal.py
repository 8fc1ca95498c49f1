"""Journals: what is added comes back, torn lines are cut off, and nothing else is taken for a journal."""

import json

import pytest

from triovit.golden.evaluation.accuracy import Chunk
from triovit.golden.evaluation.journal import FORMAT, Journal, JournalError, identity_key

IDENTITY = {"network": "abc", "mean": (0.5, 0.25, 0.125), "images": 20}
CHUNKS = [
    Chunk([0, 1, 2], [3, 0, 8], [[3, 1, 2, 0, 4], [5, 0, 1, 2, 3], [8, 7, 6, 5, 4]], []),
    Chunk([3], [1], [[1, 2, 3, 4, 5]], [(4, "é.png: cannot be decoded\nat all")]),
    Chunk([], [], [], [(5, "gone")]),
]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "folder" / "journal.jsonl"


def opened(path, identity=IDENTITY, images=20, outputs=9, fresh=False):
    return Journal(path, identity, images, outputs, fresh)


def kept(path, **arguments):
    with opened(path, **arguments) as journal:
        return journal.chunks


@pytest.fixture
def written(path):
    with opened(path) as journal:
        assert journal.chunks == []
        for chunk in CHUNKS:
            journal.append(chunk)
    return path


def test_what_was_added_comes_back(written):
    assert kept(written) == CHUNKS
    lines = written.read_text().splitlines()
    assert len(lines) == 1 + len(CHUNKS)
    header = json.loads(lines[0])
    assert header["format"] == FORMAT and header["key"] == identity_key(IDENTITY)
    assert header["identity"] == IDENTITY | {"mean": [0.5, 0.25, 0.125]}


def test_more_is_added_at_the_end(written):
    before = written.read_bytes()
    with opened(written) as journal:
        journal.append(CHUNKS[0])
    assert kept(written) == [*CHUNKS, CHUNKS[0]]
    assert written.read_bytes().startswith(before)


def test_a_line_is_on_the_disk_at_once(path):
    with opened(path) as journal:
        journal.append(CHUNKS[0])
        assert len(path.read_bytes().splitlines()) == 2


def test_cut_anywhere_it_keeps_the_whole_lines(written):
    """As a crash leaves it: every length of the file is a journal of the lines that are whole in it."""
    content = written.read_bytes()
    ends = [k + 1 for k, byte in enumerate(content) if byte == ord("\n")]
    for length in [0, 1, 40, *range(ends[0] - 1, len(content) + 1, 7), *ends]:
        written.write_bytes(content[:length])
        whole = max(0, sum(end <= length for end in ends) - 1)
        assert kept(written) == CHUNKS[:whole], length
        with opened(written) as journal:
            journal.append(CHUNKS[0])
        assert kept(written) == [*CHUNKS[:whole], CHUNKS[0]], length


@pytest.mark.parametrize("rest", [b"\0\0\0\0\n", b'{"index":[0]}\n', b"[1]\n", b"12\n", b"\xff\xfe\n", b"\n"])
def test_a_last_line_of_rubbish_is_cut_off(written, rest):
    content = written.read_bytes()
    written.write_bytes(content + rest)
    assert kept(written) == CHUNKS
    assert written.read_bytes() == content


def change(chunk, **values):
    return json.dumps(vars(chunk) | values)


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[" * 100_000,
        change(CHUNKS[0], index=[0, 1]),
        change(CHUNKS[0], index=[0, 1, 20]),
        change(CHUNKS[0], index=[0, 1, -1]),
        change(CHUNKS[0], index=[0, 1, 2.0]),
        change(CHUNKS[0], index=[0, 1, True]),
        change(CHUNKS[0], label=[0, 1, 9]),
        change(CHUNKS[0], label=[0, 1]),
        change(CHUNKS[0], top=[[0, 1, 2, 3, 4], [0, 1, 2, 3], [0, 1, 2, 3, 4]]),
        change(CHUNKS[0], top=[[0, 1, 2, 3, 4], [0, 1, 2, 3, 9], [0, 1, 2, 3, 4]]),
        change(CHUNKS[0], top=[1, 2, 3]),
        change(CHUNKS[0], broken=[[20, "x"]]),
        change(CHUNKS[0], broken=[[1, 2]]),
        change(CHUNKS[0], broken=[[1]]),
        change(CHUNKS[0], broken=None),
    ],
)
def test_damage_in_the_middle_is_refused(written, line):
    lines = written.read_text().splitlines()
    written.write_text("\n".join([*lines[:2], line, *lines[2:]]) + "\n")
    before = written.read_bytes()
    with pytest.raises(JournalError, match=r"journal\.jsonl: line 3 is damaged$"):
        opened(written)
    assert written.read_bytes() == before
    assert kept(written, fresh=True) == []


def test_few_outputs_have_shorter_rows(path):
    chunk = Chunk([0], [1], [[2, 1, 0]], [])
    with opened(path, outputs=3) as journal:
        journal.append(chunk)
    assert kept(path, outputs=3) == [chunk]


@pytest.mark.parametrize(
    ("identity", "named"),
    [
        (IDENTITY | {"network": "abd"}, "network"),
        (IDENTITY | {"mean": (0.5, 0.25, 0.126), "images": 21}, "mean, images"),
        ({"network": "abc", "mean": (0.5, 0.25, 0.125)}, "images"),
        (IDENTITY | {"seed": 1}, "seed"),
    ],
)
def test_a_journal_of_another_evaluation_is_refused(written, identity, named):
    before = written.read_bytes()
    with pytest.raises(JournalError, match=rf"is the journal of another evaluation \(it differs in {named}\)$"):
        opened(written, identity)
    assert written.read_bytes() == before
    assert kept(written, identity=identity, fresh=True) == []
    assert identity_key(identity) != identity_key(IDENTITY)


def test_another_version_is_refused(written):
    written.write_text(written.read_text().replace('"version":1', '"version":2', 1))
    with pytest.raises(JournalError, match="has version 2, this program reads 1"):
        opened(written)


@pytest.mark.parametrize("content", [b"my notes", b"my notes\n", b"{}\n", b"[]\n", b"\0\n", b'{"format":"x"}\n{}\n'])
@pytest.mark.parametrize("fresh", [False, True])
def test_other_files_are_left_alone(tmp_path, content, fresh):
    """Not even --fresh overwrites what is no journal."""
    path = tmp_path / "notes"
    path.write_bytes(content)
    with pytest.raises(JournalError, match="notes: is no journal of an evaluation"):
        opened(path, fresh=fresh)
    assert path.read_bytes() == content


def test_one_evaluation_at_a_time(written):
    with opened(written), pytest.raises(JournalError, match="another evaluation is writing this journal"):
        opened(written)
    assert kept(written) == CHUNKS  # the lock ends with its owner


def test_the_key_depends_on_values_only():
    assert identity_key({"a": 1, "b": [2]}) == identity_key({"b": [2], "a": 1}) != identity_key({"a": 1, "b": [3]})
    assert len(identity_key(IDENTITY)) == 64
