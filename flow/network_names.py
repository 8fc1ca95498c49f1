"""What names of networks on the command line mean, for quantized and for float ones."""

from __future__ import annotations

import re
from pathlib import Path

from triovit.flow.errors import UsageError

BUNDLED = "bundled"
SEEDED = re.compile(r"([a-z]+[0-9]*)-r(\d{1,5})")  # PRESET-rRESOLUTION: seeded random weights


def is_seeded(name: str) -> bool:
    """Whether a name means seeded random weights: a file of that name goes before."""
    return SEEDED.fullmatch(name) is not None and not Path(name).exists()


def whole_installation(path: Path) -> Path:
    """`path`, a file that ships with the project; raises UsageError when it is not there."""
    if not path.is_file():
        raise UsageError(f"the bundled network is missing from this installation: {path}")
    return path
