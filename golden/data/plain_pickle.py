"""Plain data out of pickle files, by their opcodes: nothing that a file names is imported or called.

Data sets that were published as pickles hold dictionaries, lists, texts, whole numbers and NumPy arrays of bytes. Those
are read, of Python 2 and 3, protocols 2 to 4; everything else is refused.
"""

from __future__ import annotations

import pickletools
from typing import Any

import numpy as np

from triovit.golden.errors import TriovitError
from triovit.golden.messages import first_line

ARRAY = ("numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct")
ARRAY_CLASS, TYPE, ENCODE = "numpy ndarray", "numpy dtype", "_codecs encode"
BYTE_TYPES = (b"u1", "u1", b"|u1", "|u1")
VALUES = {  # opcodes that give a value, which is their argument
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
STRINGS = ("STRING", "BINSTRING", "SHORT_BINSTRING")  # Python 2's, whose characters are bytes
PUT, GET = ("PUT", "BINPUT", "LONG_BINPUT"), ("GET", "BINGET", "LONG_BINGET")
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
SILENT = ("PROTO", "FRAME", "STOP")


class PickleError(TriovitError, ValueError):
    """A pickle file that is damaged or holds more than plain data; the message is one line."""


class _Name(str):
    """Something of a module, by name: "numpy dtype"."""


class _Array:
    """An array, whose values come after it."""

    value: np.ndarray | None = None


_MARK, _TYPE = object(), object()


def read_pickle(data: bytes, name: str) -> dict[str, Any]:
    """The dictionary that a pickle file holds: its keys as text, texts of Python 2 as bytes, arrays as uint8.

    name: of the file, for errors. Raises PickleError.
    """
    try:
        found = _Machine().run(data)
        if not isinstance(found, dict):
            raise ValueError("it holds no dictionary")
        return {_text(key): value.value if isinstance(value, _Array) else value for key, value in found.items()}
    except Exception as error:  # of a damaged file: of the opcodes, the stack, NumPy
        raise PickleError(f"{name}: cannot be read as a pickle of plain data ({first_line(error)})") from None


def _text(value) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


class _Machine:
    """Stack and memo of the pickle format, as `pickletools` describes it."""

    def __init__(self):
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, data: bytes) -> Any:
        for opcode, argument, _ in pickletools.genops(data):
            self._step(opcode.name, argument)
        (found,) = self._stack
        return found

    def _step(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in VALUES:
            stack.append(argument)
        elif name in STRINGS:
            stack.append(argument.encode("latin-1"))
        elif name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name in PUT:
            self._memo[int(argument)] = stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif name in GET:
            stack.append(self._memo[int(argument)])
        elif name in TUPLES:
            self._put(tuple(self._pop(TUPLES[name])))
        elif name not in SILENT:
            getattr(self, f"_{name.lower()}", self._refuse)(name, argument)

    def _refuse(self, name: str, argument: Any) -> None:
        raise ValueError(f"opcode {name} is not plain data")

    def _put(self, value: Any) -> None:
        self._stack.append(value)

    def _pop(self, count: int) -> list[Any]:
        """The last `count` values, in the order in which they came."""
        if count > len(self._stack):
            raise ValueError("a value is missing")
        found = self._stack[-count:]
        del self._stack[-count:]
        return found

    def _since_mark(self) -> list[Any]:
        start = next(k for k in range(len(self._stack) - 1, -1, -1) if self._stack[k] is _MARK)
        found = self._stack[start + 1 :]
        del self._stack[start:]
        return found

    def _mark(self, name, argument):
        self._put(_MARK)

    def _empty_dict(self, name, argument):
        self._put({})

    def _empty_list(self, name, argument):
        self._put([])

    def _tuple(self, name, argument):
        self._put(tuple(self._since_mark()))

    def _list(self, name, argument):
        self._put(self._since_mark())

    def _dict(self, name, argument):
        values = self._since_mark()
        self._put(dict(zip(values[::2], values[1::2], strict=True)))

    def _append(self, name, argument):
        self._extend(self._pop(1))

    def _appends(self, name, argument):
        self._extend(self._since_mark())

    def _extend(self, values):
        if not isinstance(self._stack[-1], list):
            raise ValueError("values are added to what is no list")
        self._stack[-1].extend(values)

    def _setitem(self, name, argument):
        self._update(self._pop(2))

    def _setitems(self, name, argument):
        self._update(self._since_mark())

    def _update(self, values):
        if not isinstance(self._stack[-1], dict):
            raise ValueError("entries are set in what is no dictionary")
        self._stack[-1].update(zip(values[::2], values[1::2], strict=True))

    def _global(self, name, argument):
        if argument not in (*ARRAY, ARRAY_CLASS, TYPE, ENCODE):
            raise ValueError(f"{argument.replace(' ', '.')} is not plain data")
        self._put(_Name(argument))

    def _stack_global(self, name, argument):
        self._global(name, " ".join(map(str, self._pop(2))))

    def _reduce(self, name, argument):
        called, values = self._pop(2)
        if not isinstance(called, _Name) or not isinstance(values, tuple):
            raise ValueError("a value is called")
        if called in ARRAY and values[:1] == (ARRAY_CLASS,):
            self._put(_Array())
        elif called == TYPE and values[0] in BYTE_TYPES:
            self._put(_TYPE)
        elif called == ENCODE and isinstance(values[0], str) and values[1] == "latin1":
            self._put(values[0].encode("latin-1"))  # how Python 3 writes bytes for Python 2
        else:
            raise ValueError(f"{called.replace(' ', '.')} of {str(values)[:40]} is not plain data")

    def _build(self, name, argument):
        (state,) = self._pop(1)
        target = self._stack[-1]
        if isinstance(target, _Array):
            _, shape, kind, by_columns, values = state
            if kind is not _TYPE:
                raise ValueError("an array is not of bytes")
            target.value = np.frombuffer(values, np.uint8).reshape(shape, order="F" if by_columns else "C")
        elif target is not _TYPE:  # what a type of bytes says besides (order, alignment) changes nothing
            raise ValueError("a value is built")
