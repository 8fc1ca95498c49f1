"""A component of the hardware from words of a command line: its class, and the arguments of its constructor."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Elaboratable

from triovit.flow.configurations import find_config
from triovit.flow.errors import UsageError


def find_class(name: str) -> type:
    """Class of `triovit.hdl.rmac.engine:RMACEngine`; raises UsageError when there is none, or it is no component."""
    module, _, label = name.partition(":")
    rule = "COMPONENT must be MODULE:CLASS, as triovit.hdl.rmac.engine:RMACEngine is"
    if not module or not label:
        raise UsageError(f"{rule}, not {name}")
    try:
        found = getattr(importlib.import_module(module), label, None)
    except ModuleNotFoundError as error:
        raise UsageError(f"{rule}: there is no module {error.name}") from None
    if not (isinstance(found, type) and issubclass(found, Elaboratable)):
        raise UsageError(
            f"{rule}: {module} has no component {label}; it has {', '.join(_components(module)) or 'none'}"
        )
    return found


def make(kind: type, words: Sequence[str]) -> Any:
    """The component for constructor arguments: values of Python (8, True), NAME=VALUE, and for a configuration a preset
    or a JSON file. Raises UsageError for arguments that the constructor does not take, or refuses."""
    called = f"{kind.__name__}{inspect.signature(kind)}"
    pairs = [_split(word) for word in words]
    positional = [_value(text) for name, text in pairs if not name]
    named = {name: _value(text) for name, text in pairs if name}
    try:
        bound = inspect.signature(kind).bind(*positional, **named)
        for name, value in bound.arguments.items():
            if "AcceleratorConfig" in str(inspect.signature(kind).parameters[name].annotation):
                bound.arguments[name] = find_config(str(value), name)
        return kind(*bound.args, **bound.kwargs)
    except (TypeError, ValueError, AttributeError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(
            f"{called} must get arguments that it takes, not {' '.join(words) or 'none'}: {error}"
        ) from None


def _components(module: str) -> list[str]:
    members = vars(importlib.import_module(module)).items()
    return [
        name
        for name, member in members
        if isinstance(member, type) and issubclass(member, Elaboratable) and member.__module__ == module
    ]


def _split(word: str) -> tuple[str, str]:
    """(NAME, VALUE) of NAME=VALUE, else ("", the word)."""
    name, equals, value = word.partition("=")
    return (name, value) if equals and name.isidentifier() else ("", word)


def _value(word: str) -> Any:
    """A literal of Python, else the text itself."""
    try:
        return ast.literal_eval(word)
    except (ValueError, SyntaxError):
        return word
