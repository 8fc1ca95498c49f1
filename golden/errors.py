"""The base of the project's own errors."""

from __future__ import annotations


class TriovitError(Exception):
    """An error that a person can mend: the message names the thing, the rule, the value and, where there is one, the
    remedy.

    The command line tells it in one line; any other exception is a fault of the program and keeps its traceback.

    status: exit status of a command that ends with it. 2: wrong input, or a machine that cannot do what was asked.
    1: the design itself failed a check.
    """

    status = 2

    def line(self) -> str:
        """The message in one line."""
        return " ".join(str(self).split())
