"""What the compiler raises."""

from __future__ import annotations

from triovit.golden.errors import TriovitError


class CompileError(TriovitError, ValueError):
    """A network that does not fit a configuration; names the layer, what it needs and the limit."""


def require(holds: bool, layer: str, text: str) -> None:
    """Raise CompileError naming the layer when a rule does not hold."""
    if not holds:
        raise CompileError(f"{layer}: {text}")
