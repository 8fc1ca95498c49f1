"""Help texts at 80 columns."""

import pytest

from triovit.flow.cli import COMMANDS, parser_of
from triovit.flow.help import Help


@pytest.mark.parametrize("command", COMMANDS)
def test_lines_are_no_longer_than_the_terminal(monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    assert max(map(len, parser_of(command).format_help().splitlines())) <= 80


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_stay_what_they_are(monkeypatch, command):
    """Lines that are broken are, joined again as a shell does it, what they are in a wide terminal."""
    monkeypatch.setenv("COLUMNS", "50")
    narrow = " ".join(parser_of(command).format_help().replace(" \\\n", " ").split())
    monkeypatch.setenv("COLUMNS", "500")
    examples = [line for line in parser_of(command).format_help().splitlines() if line.startswith("  triovit ")]
    assert examples
    for line in examples:
        assert " ".join(line.rstrip("\\").split()) in narrow


def fill(text: str, width: int) -> str:
    return Help("x", width=width)._fill_text(text, width, "")


def test_paragraphs_are_filled_and_terms_hang():
    text = 'One two\nthree four.\n\nexamples:\n  run x -o out.txt --name "a b"\n  term    what it means here\n'
    assert fill(text, 24).splitlines() == [
        "One two three four.",
        "",
        "examples:",
        "  run x -o out.txt \\",
        '      --name "a b"',
        "  term    what it means",
        "          here",
    ]
    assert fill("  a long term of a text  its meaning", 24).splitlines() == [
        "  a long term of a text",
        "      its meaning",
    ]
