"""Amaranth's private interface is used in one file, which knows its version."""

import ast
import os
import tomllib
from pathlib import Path

import pytest

from tests.hdl.emit.test_verilog import Lane
from triovit.hdl.emit import amaranth_private
from triovit.hdl.emit.amaranth_private import SUPPORTED, AmaranthVersionError, check_version
from triovit.hdl.emit.verilog import emit_verilog

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("golden", "hdl", "machine", "compiler", "sim", "flow", "tests")


def private_uses(text: str) -> list[str]:
    """Names of Amaranth with a leading underscore that a file imports, or reads from what it imported."""
    found, imported = [], set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            base = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for alias in node.names:
                name = ".".join([*base, alias.name])
                if name.split(".")[0] == "amaranth":
                    imported.add((alias.asname or alias.name).split(".")[0])
                    found += [name] if "._" in name else []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            base = node.value
            while isinstance(base, ast.Attribute):
                base = base.value
            found += [ast.unparse(node)] if isinstance(base, ast.Name) and base.id in imported else []
    return found


def test_one_file_uses_the_private_interface():
    uses = {
        str(file.relative_to(ROOT)): found
        for folder in FOLDERS
        for file in (ROOT / folder).rglob("*.py")
        if (found := private_uses(file.read_text(encoding="utf-8")))
    }
    assert list(uses) == ["hdl/emit/amaranth_private.py"], uses


@pytest.mark.parametrize(
    "text",
    [
        "from amaranth.hdl._ast import Slice",
        "from amaranth.hdl import _ir",
        "import amaranth.hdl._mem",
        "from amaranth.back import verilog\nverilog._convert_rtlil_text('')",
        "import amaranth.hdl as h\nh.ast._x",
    ],
)
def test_private_uses_are_found(text):
    assert private_uses(text)


@pytest.mark.parametrize("text", ["from amaranth.hdl import Slice\nself._x = Slice", "from a import _b\n_b._c"])
def test_other_uses_are_allowed(text):
    assert not private_uses(text)


def test_supported_version_is_the_pinned_one():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"amaranth=={SUPPORTED}" in project["dependencies"]
    check_version(SUPPORTED)


@pytest.mark.parametrize("version", ["0.5.9", "0.6.0", "0.5.10.dev1"])
def test_other_versions_are_refused(version):
    with pytest.raises(AmaranthVersionError, match=f"must be {SUPPORTED}, not {version}: .* install amaranth=="):
        check_version(version)


@pytest.mark.parametrize("before", [None, "system"])
def test_environment_is_left_as_it_was(monkeypatch, before):
    monkeypatch.delenv("AMARANTH_USE_YOSYS", raising=False)
    if before:
        monkeypatch.setenv("AMARANTH_USE_YOSYS", before)
    with amaranth_private._builtin_yosys():
        assert os.environ["AMARANTH_USE_YOSYS"] == "builtin"
    assert os.environ.get("AMARANTH_USE_YOSYS") == before
    text = emit_verilog(Lane(), "lane").text
    assert "module lane(" in text and os.environ.get("AMARANTH_USE_YOSYS") == before
