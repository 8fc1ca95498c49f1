"""Tables of the command line and of the tree."""

from __future__ import annotations

import ast

from docs.tables.markdown import code, table
from docs.tables.regions import ROOT
from triovit.flow.cli import COMMANDS
from triovit.golden.errors import Status


def commands() -> str:
    """Commands, as `triovit --help` has them."""
    return table(("command", "what it does"), ((code(f"triovit {name}"), text) for name, text in COMMANDS.items()))


def statuses() -> str:
    """Exit statuses of all commands."""
    return table(("exit status:", "meaning"), ((str(status.value), status.meaning) for status in Status))


def packages() -> str:
    """Packages of the tree with the first sentence of their docstrings."""

    def row(file) -> tuple[str, str]:
        text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        sentence = " ".join(text.split("\n\n")[0].split()).split(". ")[0].rstrip(".")
        return code(f"{file.parent.relative_to(ROOT)}/"), sentence

    tops = sorted(file.parent for file in ROOT.glob("*/__init__.py") if file.parent.name not in ("docs", "tests"))
    files = sorted(file for top in tops for file in top.rglob("__init__.py"))
    return table(("package", "holds"), map(row, files))


CONTENTS = {"commands": commands, "exit statuses": statuses, "packages": packages}
