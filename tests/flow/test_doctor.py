"""triovit doctor."""

import importlib.metadata
import shutil

from triovit.flow.packages import requirements


def test_everything_with_its_version(triovit):
    outcome = triovit("doctor")
    tools = outcome.report["tools"]
    assert tools["amaranth"] == {"version": importlib.metadata.version("amaranth"), "needed": True}
    assert {name for name, _ in requirements()} <= set(tools)
    assert tools["torch"]["needed"] is tools["pytest"]["needed"] is False
    for name, tool in tools.items():
        assert name.split()[0] in outcome.out
        assert tool["version"] is None or any(character.isdigit() for character in tool["version"]), name
    assert outcome.status == (1 if outcome.report["missing"] else 0)


def test_what_is_missing_comes_with_its_remedy(triovit, monkeypatch):
    version, which = importlib.metadata.version, shutil.which

    def no_cocotb(name):
        if name in ("cocotb", "hypothesis"):
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", no_cocotb)
    monkeypatch.setattr(shutil, "which", lambda name: None if name in ("make", "ccache") else which(name))
    outcome = triovit("doctor")
    assert outcome.status == 1
    assert outcome.report["missing"] == ["cocotb", "make (GNU make)"]  # the others are optional
    lines = {line.split("│")[1].strip(): line for line in outcome.out.splitlines() if "│" in line}
    assert "MISSING" in lines["cocotb"] and "not installed (optional)" in lines["hypothesis"]
    told = outcome.out.splitlines()
    assert "cocotb, needed: pip install triovit" in told
    assert "hypothesis, optional: pip install 'triovit[test]'" in told
    assert "make (GNU make), needed: install make with the system's package manager" in told
    assert outcome.out.endswith("missing: cocotb, make (GNU make)\n")


def test_the_compiler_is_what_cxx_names(triovit, monkeypatch, tmp_path):
    program = tmp_path / "my c++"
    program.write_text("#!/bin/sh\necho 'Debian clang version 14.0.6'\n")
    program.chmod(0o755)
    monkeypatch.setenv("CXX", f"'{program}' -m64")
    outcome = triovit("doctor")
    assert outcome.report["tools"][f"{program} (C++20 compiler)"] == {"version": "14.0.6", "needed": True}
    assert "g++ (C++20 compiler)" not in outcome.report["tools"]
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert "no-such-compiler (C++20 compiler)" in triovit("doctor").report["missing"]
