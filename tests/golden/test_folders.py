"""Folders of `golden` import one way, without circles; one registry knows the architectures."""

import ast
from pathlib import Path

import pytest

from tests.test_architecture import imported

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
# Left is lower: each may import itself and what stands before it.
ORDER = (
    "errors",
    "files",
    "messages",
    "validation",
    "torch_modes",
    "assets",
    "integer",
    "data",
    "network",
    "batch",
    "identity",
    "evaluation",
    "quantization",
    "training",
    "report",
)
REGISTRY = "network/architectures.py"


def wrong_way(folder: str, text: str) -> list[str]:
    """What a file in a folder (or a single file) of `golden` imports from those after it."""
    found = []
    for name in sorted(imported(ast.parse(text), ["golden", folder])):
        parts = name.split(".")
        if parts[0] == "golden" and len(parts) > 1 and ORDER.index(parts[1]) > ORDER.index(folder):
            found.append(name)
    return found


def architecture_imports(path: str, text: str, architectures: list[str]) -> list[str]:
    """Imports of an architecture's folder by a file that may not know it; path: relative to `golden`."""
    if path == REGISTRY:
        return []
    return [
        name
        for name in sorted(imported(ast.parse(text), ["golden"]))
        for architecture in architectures
        if f"{name}.".startswith(f"golden.network.{architecture}.") and not path.startswith(f"network/{architecture}/")
    ]


def test_the_order_names_everything():
    entries = {path.stem for path in GOLDEN.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert entries - {"__init__"} == set(ORDER)


@pytest.mark.parametrize("folder", ORDER)
def test_imports_go_one_way(folder):
    single = GOLDEN / f"{folder}.py"
    files = [single] if single.is_file() else sorted((GOLDEN / folder).rglob("*.py"))
    errors = [f"{file.relative_to(GOLDEN)} imports {n}" for file in files for n in wrong_way(folder, file.read_text())]
    assert files
    assert not errors, "\n".join(errors)


def test_only_the_registry_knows_architectures():
    architectures = sorted(path.parent.name for path in (GOLDEN / "network").glob("*/__init__.py"))
    assert "efficientvit" in architectures
    files = [*GOLDEN.rglob("*.py"), *(GOLDEN.parent / "flow").rglob("*.py")]
    errors = []
    for file in sorted(files):
        path = file.relative_to(GOLDEN).as_posix() if file.is_relative_to(GOLDEN) else f"../flow/{file.name}"
        errors += [f"{path} imports {n}" for n in architecture_imports(path, file.read_text(), architectures)]
    assert not errors, "\n".join(errors)


@pytest.mark.parametrize(
    ("folder", "text"),
    [
        ("evaluation", "from triovit.golden.quantization.quantize import quantize"),
        ("network", "def f():\n    from triovit.golden import quantization"),
        ("training", "import triovit.golden.report.report"),
        ("network", "from ..quantization import settings"),
    ],
)
def test_the_wrong_way_is_caught(folder, text):
    assert wrong_way(folder, text)
    assert not wrong_way("report", text)


@pytest.mark.parametrize(
    "text", ["from triovit.golden.network.deit.model import DeiT", "import triovit.golden.network.deit"]
)
def test_knowing_an_architecture_is_caught(text):
    assert architecture_imports("quantization/quantize.py", text, ["deit"])
    assert architecture_imports("network/checkpoint.py", text, ["deit"])
    assert architecture_imports("network/efficientvit/graph.py", text, ["deit", "efficientvit"])
    assert not architecture_imports("network/deit/graph.py", text, ["deit"])
    assert not architecture_imports(REGISTRY, text, ["deit"])
