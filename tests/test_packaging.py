"""What pyproject.toml says of the package, against the tree."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_package_is_named():
    named = PROJECT["tool"]["setuptools"]["packages"]
    tops = {name.split(".")[1] for name in named}
    folders = {file.parent.relative_to(ROOT) for top in tops for file in (ROOT / top).rglob("__init__.py")}
    assert named == sorted(".".join(("triovit", *folder.parts)) for folder in folders)


def test_every_folder_with_code_is_a_package():
    tops = {name.split(".")[1] for name in PROJECT["tool"]["setuptools"]["packages"]}
    bare = {str(file.parent.relative_to(ROOT)) for top in tops for file in (ROOT / top).rglob("*.py")}
    assert all((ROOT / folder / "__init__.py").is_file() for folder in bare)
