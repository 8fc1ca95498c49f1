"""Which errors are the user's input, to be told in one line."""

from __future__ import annotations

from compiler.errors import CompileError
from golden.integer.network import NetworkError
from golden.network.checkpoint import CheckpointError
from golden.network.datasets import DatasetError
from golden.network.preprocess import ImageError
from golden.quantization.settings import QuantizationError
from hdl.config import ConfigurationError
from hdl.isa import InstructionError


class UsageError(ValueError):
    """A wrong argument; the message names it, the rule and the value."""


INPUT_ERRORS = (
    UsageError,
    CompileError,
    NetworkError,
    CheckpointError,
    DatasetError,
    ImageError,
    QuantizationError,
    ConfigurationError,
    InstructionError,
)
