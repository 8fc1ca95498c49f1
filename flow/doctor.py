"""Print every tool with its version, and what is missing with the command that mends it.

The exit status is 1 when something that is needed is missing. What only some commands or the tests need is optional.

  triovit doctor
  triovit doctor --json tools.json
"""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import re
import shutil
import subprocess

from triovit.flow.output import show, table, write_json
from triovit.flow.packages import install, requirements
from triovit.sim.toolchain import compiler

COMPILER = ("C++20 compiler", "install g++ or clang++ with the system's package manager, or name one in CXX", True)
PROGRAMS = {
    "make": ("GNU make", "install make with the system's package manager", True),
    "perl": ("Perl", "install perl with the system's package manager", True),
    "ccache": ("compiler cache: faster rebuilds", "install ccache with the system's package manager", False),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """No options of its own."""


def execute(options) -> int:
    """Exit status 1 when something that is needed is missing."""
    rows, missing, remedies, report = [], [], [], {}

    def add(name: str, version: str | None, needed: bool, remedy: str):
        report[name] = {"version": version, "needed": needed}
        state = version or ("MISSING" if needed else "not installed (optional)")
        rows.append([name, state])
        if version is None:
            remedies.append(f"{name}, {'needed' if needed else 'optional'}: {remedy}")
        if version is None and needed:
            missing.append(name)

    add("python", platform.python_version(), True, "")
    for name, extra in requirements():
        add(name, _package(name), extra is None, install(extra))
    for name, (what, remedy, needed) in ({compiler()[0]: COMPILER} | PROGRAMS).items():
        add(f"{name} ({what})", _program(name), needed, remedy)
    table("triovit doctor", [("tool", "left"), ("version", "left")], rows)
    for line in remedies:
        show(line)
    show("everything needed is there" if not missing else f"missing: {', '.join(missing)}")
    write_json(options.json, {"tools": report, "missing": missing})
    return 1 if missing else 0


def _package(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _program(name: str) -> str | None:
    if shutil.which(name) is None:
        return None
    printed = subprocess.run([name, "--version"], capture_output=True, text=True).stdout.strip().splitlines()
    # The first number with a dot: Perl has it in the second line, compilers before and after what was built of it.
    return next((found[1] for line in printed if (found := re.search(r"\bv?(\d+\.\d+(\.\d+)?)", line))), "?")
