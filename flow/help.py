"""Help texts filled to the terminal's width."""

from __future__ import annotations

import argparse
import itertools
import re
import textwrap

TERM = re.compile(r"(\s+\S.*?)(\s{2,})(\S.*)")  # an indented line: a term, and what it means behind two blanks or more
# Of a command: an option with its value, or a word; what stands in quotes is one word.
WORD = re.compile(r'\s*(?:-\S+ (?!-))?(?:[^\s"]|"[^"]*")+')
BELOW = " " * 6  # in front of the second line of a command, and of a meaning that stands below its term


class Help(argparse.HelpFormatter):
    """Fills paragraphs. Indented lines stay apart: a long command goes on in another line, as a shell reads it, and a
    long meaning below its beginning."""

    def add_argument(self, action: argparse.Action) -> None:
        super().add_argument(action)
        if isinstance(action, argparse._SubParsersAction):  # argparse forgets that commands are indented
            self._action_max_length += self._indent_increment

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines: list[str] = []
        for indented, group in itertools.groupby(text.splitlines(), key=lambda line: line[:1] in ("", " ")):
            if indented:
                lines += [part for line in group for part in _indented(line, width)]
            else:
                lines += textwrap.wrap(" ".join(group), width)
        return "\n".join(f"{indent}{line}".rstrip() for line in lines)


def _indented(line: str, width: int) -> list[str]:
    if len(line) <= width:
        return [line]
    if term := TERM.fullmatch(line):
        head, gap, meaning = term.groups()
        gap = gap if len(head + gap) <= 2 * width // 3 else "  "
        if len(head + gap) > 2 * width // 3:
            return [head, *textwrap.wrap(meaning, width, initial_indent=BELOW, subsequent_indent=BELOW)]
        return textwrap.wrap(
            meaning, width, initial_indent=head + gap, subsequent_indent=" " * len(head + gap), break_on_hyphens=False
        )
    lines = [""]
    for word in WORD.findall(line):
        if lines[-1] and len(lines[-1] + word) > width - 2:
            lines[-1] += " \\"
            lines.append(BELOW + word.lstrip())
        else:
            lines[-1] += word
    return lines
