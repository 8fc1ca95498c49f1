"""All of Amaranth that the emitter needs and that is no public interface: the one file to read at an upgrade.

The names below may change with any version of Amaranth, so this module refuses versions other than the one it was
read against. Nothing else in the project imports a name of Amaranth that begins with an underscore.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
from collections.abc import Iterator

from amaranth.back import verilog
from amaranth.hdl import MemoryInstance

# Parts of expressions and statements, compared by `hdl.emit.fingerprint`; sets and maps of signals by identity.
from amaranth.hdl._ast import (
    Assign,
    Concat,
    Operator,
    Part,
    SignalDict,
    SignalSet,
    Slice,
    Switch,
    SwitchValue,
)

# A part of a fragment that the public interface lacks, and a port's direction as RTLIL's writer wants it.
from amaranth.hdl._ir import PortDirection, RequirePosedge

# What EnableInserter and its like make of a component.
from amaranth.hdl._xfrm import TransformedElaboratable

from triovit.golden.errors import TriovitError

__all__ = [
    "Assign",
    "Concat",
    "Operator",
    "Part",
    "PortDirection",
    "RequirePosedge",
    "SignalDict",
    "SignalSet",
    "Slice",
    "Switch",
    "SwitchValue",
    "TransformedElaboratable",
    "driven_signals",
    "memory_facts",
    "memory_outputs",
    "read_signals",
    "rtlil_to_verilog",
]

SUPPORTED = "0.5.10"
_CHOICE = "AMARANTH_USE_YOSYS"


class AmaranthVersionError(TriovitError, ImportError):
    """Another version of Amaranth is installed than the one whose private interface is used here."""


def check_version(installed: str) -> None:
    """Raise AmaranthVersionError naming both versions unless the supported one is installed."""
    if installed != SUPPORTED:
        raise AmaranthVersionError(
            f"amaranth must be {SUPPORTED}, not {installed}: the emitter uses its private interface; "
            f"install amaranth=={SUPPORTED} (make setup), or read hdl/emit/amaranth_private.py against the other one"
        )


check_version(importlib.metadata.version("amaranth"))


def driven_signals(value) -> SignalSet:
    """Signals that an assignment, a switch or the left-hand side of one drives."""
    return value._lhs_signals()


def read_signals(value) -> SignalSet:
    """Signals that the value of an expression, or the effect of a statement, depends on."""
    return value._rhs_signals()


def memory_outputs(memory: MemoryInstance) -> list:
    """Values that the read ports of a memory drive."""
    return [port._data for port in memory._read_ports]


def memory_facts(memory: MemoryInstance) -> dict:
    """Size of a memory and latency of its read ports, as components tell of themselves."""
    granularity = {port._granularity for port in memory._write_ports} or {0}
    (width,) = {len(port._data) for port in memory._read_ports}
    clocked = {port._domain != "comb" for port in memory._read_ports}
    parts = width // max(min(granularity), 1)
    return {"depth": memory._data.depth, "width": width, "parts": parts, "latency": int(all(clocked)), "style": "auto"}


def rtlil_to_verilog(text: str) -> str:
    """Verilog of RTLIL modules, without Amaranth's own attributes, by the Yosys of Amaranth's wheel: the machine's own
    Yosys, if any, must not decide what the text looks like."""
    with _builtin_yosys():
        return verilog._convert_rtlil_text(text, strip_internal_attrs=True)


@contextlib.contextmanager
def _builtin_yosys() -> Iterator[None]:
    before = os.environ.get(_CHOICE)
    os.environ[_CHOICE] = "builtin"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_CHOICE]
        else:
            os.environ[_CHOICE] = before
