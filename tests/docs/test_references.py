"""What pages and help texts name is there: files, modules, commands and options. Links: tests/test_docs.py."""

import importlib
import re

import pytest

from docs.tables.regions import ROOT, pages
from triovit.flow.cli import COMMANDS, parser_of

PAGES = [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages() if page.name != "CHANGELOG.md"]
TEXTS = [pytest.param(page.values[0].read_text(encoding="utf-8"), id=page.id) for page in PAGES]
TEXTS += [
    pytest.param(importlib.import_module(f"triovit.flow.{name}").__doc__, id=f"help of {name}") for name in COMMANDS
]
HIDDEN = {".venv", "build", "__pycache__", ".git"}
FILES = [
    path.relative_to(ROOT).as_posix()
    for path in ROOT.rglob("*")
    if path.is_file() and not HIDDEN & set(path.relative_to(ROOT).parts)
]


def missing_files(text: str) -> list[str]:
    """Source files and folders in the text that are nowhere in the tree; a file's first folders may be left out.

    Names that are put together (<prefix>_ram.v) are none.
    """
    names = re.findall(r"(?<![\w.<>/}])((?:[\w.]+/)*\w+\.(?:py|v|h|cpp))\b(?![(\w])", text)
    generated = {"triovit.v", "triovit_registers.h", "registers.h", "ram.v"}
    names = [name for name in names if name not in generated and not name.startswith("NAME")]  # NAME: a prefix
    gone = [name for name in names if not any(f"/{file}".endswith(f"/{name}") for file in FILES)]
    tops = {file.split("/")[0] for file in FILES if "/" in file}
    folders = [name for name in re.findall(r"`((?:\w+/)+\w*)`", text) if name.split("/")[0] in tops]
    return gone + [name for name in folders if not (ROOT / name).is_dir()]


def missing_names(text: str) -> list[str]:
    """Names of modules, and of what is in them, that cannot be imported."""
    found = []
    for name in re.findall(r"\btriovit((?:\.[a-zA-Z_]\w*)+)", text):
        parts = name[1:].split(".")
        if parts[0] in ("v", "json", "readthedocs", "program"):
            continue
        for length in range(len(parts), 0, -1):
            try:
                thing = importlib.import_module(".".join(("triovit", *parts[:length])))
            except ModuleNotFoundError:
                continue
            for attribute in parts[length:]:
                thing = getattr(thing, attribute, None)
            break
        else:
            thing = None
        if thing is None:
            found.append(f"triovit{name}")
    return found


def unknown_words(text: str) -> list[str]:
    """Commands and options of `triovit` in code that do not exist."""
    found = []
    for line in re.findall(r"(?:^\s*|`|\$ )triovit ([a-z-]+[^`\n#|]*)", text, re.MULTILINE):
        command, *_ = line.split()
        if command not in COMMANDS:
            found.append(f"triovit {command}")
            continue
        known = parser_of(command)._option_string_actions
        found += [
            f"{command} {option}" for option in re.findall(r"(?<![\w-])--?[a-z][\w-]*", line) if option not in known
        ]
    return found


@pytest.mark.parametrize("text", TEXTS)
def test_files(text):
    assert not missing_files(text)


@pytest.mark.parametrize("page", PAGES)
def test_modules(page):
    assert not missing_names(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("text", TEXTS)
def test_commands(text):
    assert not unknown_words(text)


def test_faults_are_found():
    assert missing_files("`hdl/isa/names.py`, `names.py`, hdl/names.py, `gone.py`, `hdl/isa`, `hdl/gone/`, `b/c`") == [
        "hdl/names.py",
        "gone.py",
        "hdl/gone/",
    ]
    assert missing_names("triovit.hdl.isa.names.Unit.MAT triovit.hdl.isa.gone triovit.hdl.isa.names.Gone") == [
        "triovit.hdl.isa.gone",
        "triovit.hdl.isa.names.Gone",
    ]
    text = "    triovit compare --image x.jpg  # --gone\n`triovit run -k | less -M`, `triovit gone`\n"
    assert unknown_words(text) == ["run -k", "triovit gone"]
