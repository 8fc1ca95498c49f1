"""Every error of the project has one base, so that a command tells it in one line without a list of classes."""

import importlib
import pkgutil

import pytest

from triovit.flow.errors import UsageError, explain
from triovit.golden.errors import TriovitError
from triovit.machine.races import RaceError
from triovit.sim.rtl.machine import MachineError
from triovit.sim.rtl.simulation import ProtocolError
from triovit.sim.toolchain import ToolchainError

PACKAGES = ("golden", "hdl", "machine", "compiler", "sim", "flow")
# Exceptions that are no TriovitError, and why.
OTHERS = {
    "triovit.machine.races.RaceError": "a fault of the compiler: nobody can mend it from outside",
    "triovit.hdl.emit.fingerprint._Unknown": "never leaves its module",
    "triovit.flow.cli.Ended": "a signal, as KeyboardInterrupt is",
}


def exceptions() -> dict[str, type]:
    """All exception classes that modules of the project define, by their full names."""
    found = {}
    for package in PACKAGES:
        folder = importlib.import_module(f"triovit.{package}")
        for entry in pkgutil.walk_packages(folder.__path__, f"triovit.{package}."):
            module = importlib.import_module(entry.name)
            for value in vars(module).values():
                if isinstance(value, type) and issubclass(value, BaseException) and value.__module__ == entry.name:
                    found[f"{entry.name}.{value.__qualname__}"] = value
    return found


def test_every_error_has_the_base():
    found = exceptions()
    assert len(found) > 15 and found["triovit.golden.errors.TriovitError"] is TriovitError
    assert {name for name, kind in found.items() if not issubclass(kind, TriovitError)} == set(OTHERS)


def test_errors_stay_what_they_were_to_others():
    """A ValueError or RuntimeError, for example, to whoever does not know the project."""
    builtin = {ValueError, RuntimeError, AssertionError, ImportError, OSError}
    for name, kind in exceptions().items():
        assert kind is TriovitError or name in OTHERS or builtin & set(kind.__bases__), name


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (UsageError("--images must be\n  1..9, not 0"), ("--images must be 1..9, not 0", 2)),
        (MachineError("stopped with WATCHDOG"), ("stopped with WATCHDOG", 1)),
        (
            ProtocolError("cycle 7: AWVALID fell\ncycle 9: WVALID fell"),
            ("cycle 7: AWVALID fell cycle 9: WVALID fell", 1),
        ),
        (ToolchainError("make failed (full log: a.log)\nlong\nlog"), ("make failed (full log: a.log)", 2)),
        (
            ImportError("No module named 'torch'"),
            ("No module named 'torch'; 'triovit doctor' lists what is missing", 2),
        ),
        (OSError(2, "No such file or directory", "a.pt"), ("a.pt: No such file or directory", 2)),
        (ValueError("a fault of the program"), None),
        (RaceError.__new__(RaceError), None),
    ],
)
def test_how_an_error_is_told(error, told):
    assert explain(error) == told
