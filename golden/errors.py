"""The base of the project's own errors, and the exit statuses of commands."""

from __future__ import annotations

import enum


class Status(enum.IntEnum):
    """Exit statuses of all commands, each with what it means."""

    def __new__(cls, value: int, meaning: str):
        member = int.__new__(cls, value)
        member._value_ = value
        return member

    def __init__(self, value: int, meaning: str):
        self.meaning = meaning

    DONE = 0, "done; every check passed"
    FAILED = (
        1,
        "a check failed: tensors differ, lint found something, a tool is missing, the machine stopped",
    )
    REFUSED = 2, "wrong input, or a machine that cannot do what was asked; one line tells what and the remedy"
    INTERRUPTED = 130, "interrupted from the keyboard"


class TriovitError(Exception):
    """An error that a person can mend: the message names the thing, the rule, the value and, where there is one, the
    remedy.

    The command line tells it in one line; any other exception is a fault of the program and keeps its traceback.

    status: exit status of a command that ends with it: REFUSED, or FAILED where the design itself failed a check.
    """

    status = Status.REFUSED

    def line(self) -> str:
        """The message in one line."""
        return " ".join(str(self).split())
