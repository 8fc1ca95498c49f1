"""What the package asks for besides itself, read from its own metadata: of every installation, and of its extras."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re

DISTRIBUTION = "triovit"
REQUIREMENT = re.compile(r"""(?P<name>[\w.-]+)[^;]*(;.*extra\s*==\s*["'](?P<extra>[\w-]+)["'])?""")
# Modules of the extra `quantize` that commands import, as people know them.
MODULES = {"torch": "PyTorch", "distributed": "Dask", "cloudpickle": "cloudpickle", "matplotlib": "Matplotlib"}
EXTRA = "quantize"


def requirements() -> list[tuple[str, str | None]]:
    """(package, extra that asks for it or None) of all requirements, in the order of pyproject.toml.

    The requirement of an extra that is another extra of this package is left out. Raises PackageNotFoundError where
    the package is not installed.
    """
    found = filter(None, map(REQUIREMENT.match, importlib.metadata.requires(DISTRIBUTION) or []))
    return [(match["name"], match["extra"]) for match in found if match["name"] != DISTRIBUTION]


def install(extra: str | None = None) -> str:
    """The command that installs what is missing."""
    return f"pip install '{DISTRIBUTION}[{extra}]'" if extra else f"pip install {DISTRIBUTION}"


def has(module: str) -> bool:
    """Whether a module could be imported; it is not imported for that."""
    try:
        return importlib.util.find_spec(module) is not None
    except ValueError:  # kept out by whoever started Python
        return False


def missing_extra(error: ModuleNotFoundError) -> str | None:
    """One line about a module of the extra that is not installed; None for other modules."""
    name = MODULES.get((error.name or "").partition(".")[0])
    return f"this needs {name}, which is not installed: {install(EXTRA)}" if name else None
