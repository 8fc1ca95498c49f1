"""Parts of messages stay short and in one line."""

import pytest

from triovit.golden.messages import first_line, listing


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ("", ""),
        ("a", "a"),
        ("abcd", "a, b, c, d"),
        ("abcde", "a, b, c, d and 1 more"),
        ("abcdefg", "a, b, c, d and 3 more"),
    ],
)
def test_listing(names, text):
    assert listing(list(names)) == listing(tuple(names)) == text


def test_first_line():
    assert first_line(ValueError("\n  wrong  \nbecause")) == "wrong  "
    assert first_line(ValueError("x" * 500)) == "x" * 200
    assert first_line(EOFError()) == "EOFError"
