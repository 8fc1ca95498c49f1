"""Which errors are the user's, and how they are told in one line."""

from __future__ import annotations


class UsageError(ValueError):
    """A wrong argument; the message names it, the rule and the value."""


def explain(error: Exception) -> tuple[str, int] | None:
    """One line about an error and the exit status; None for a fault of this program, which deserves its traceback.

    Status 2: wrong input, or a machine that cannot do what was asked. Status 1: the design itself failed a check.
    """
    match error:
        case UsageError():
            return _one_line(error), 2
        case ImportError():
            return f"{_one_line(error)}; 'triovit doctor' lists what is missing", 2
        case OSError():
            return f"{error.filename}: {error.strerror}" if error.filename else _one_line(error), 2
        case RecursionError():
            return "an input file is nested too deeply", 2
    # Only now: 'doctor' must work where these modules' packages are missing.
    from triovit.compiler.errors import CompileError
    from triovit.golden.data.folders import DatasetError
    from triovit.golden.data.images import ImageError
    from triovit.golden.evaluation.journal import JournalError
    from triovit.golden.evaluation.parallel import ParallelError
    from triovit.golden.integer.errors import NetworkError
    from triovit.golden.network.checkpoint import CheckpointError
    from triovit.golden.quantization.settings import QuantizationError
    from triovit.hdl.config.accelerator import ConfigurationError
    from triovit.sim.rtl.machine import MachineError
    from triovit.sim.rtl.simulation import ProtocolError, SimulationError
    from triovit.sim.toolchain import ToolchainError

    match error:
        case ToolchainError():
            return str(error).splitlines()[0], 2  # the log that it names has the rest
        case MachineError() | ProtocolError():
            return _one_line(error), 1
        case (
            CompileError()
            | NetworkError()
            | CheckpointError()
            | DatasetError()
            | ImageError()
            | QuantizationError()
            | ConfigurationError()
            | SimulationError()
            | JournalError()
            | ParallelError()
        ):
            return _one_line(error), 2
    return None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
