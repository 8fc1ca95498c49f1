"""Which errors are the user's, and how they are told in one line."""

from __future__ import annotations

from triovit.flow.packages import missing_extra
from triovit.golden.errors import Status, TriovitError


class UsageError(TriovitError, ValueError):
    """A wrong argument; the message names it, the rule and the value."""


def explain(error: Exception) -> tuple[str, Status] | None:
    """One line about an error and the exit status; None for a fault of this program, which deserves its traceback."""
    match error:
        case TriovitError():
            return error.line(), error.status
        case ModuleNotFoundError() if text := missing_extra(error):
            return text, Status.REFUSED
        case ImportError():
            return f"{_one_line(error)}; 'triovit doctor' lists what is missing", Status.REFUSED
        case OSError():
            return f"{error.filename}: {error.strerror}" if error.filename else _one_line(error), Status.REFUSED
        case RecursionError():
            return "an input file is nested too deeply", Status.REFUSED
    return None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
