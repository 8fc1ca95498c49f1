"""Simulators that are built once, in any folder, and anew when anything that they depend on has changed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.sim.test_processes import gone
from triovit.sim import toolchain
from triovit.sim import verilate as module
from triovit.sim.toolchain import ToolchainError
from triovit.sim.verilate import verilate

MAIN = """#include "Vtop.h"
#include "note.h"
#include <cstdio>
int main() { Vtop top; top.a = 3; top.eval(); std::printf("%d", top.b); }
"""
VERILOG = "module twice(input [3:0] a, output [4:0] b);\n  assign b = a << 1;\nendmodule\n"
ODD = "build 'folder' \"ä\" $HOME #1 %s;&(x)"


@pytest.fixture
def inputs(tmp_path):
    """Main program and Verilog, in a folder of an odd name."""
    folder = tmp_path / ODD
    folder.mkdir()
    (folder / "main.cpp").write_text(MAIN)
    (folder / "twice.v").write_text(VERILOG)
    (folder / "note.h").write_text("// nothing\n")
    return folder


def build(inputs, folder, **more):
    return verilate(
        [inputs / "twice.v"], inputs / "main.cpp", top="twice", folder=folder, depends=[inputs / "note.h"], **more
    )


def test_build_is_kept_and_renewed_in_a_folder_of_any_name(tmp_path, inputs):
    folder, told = tmp_path / ODD / "builds", []
    program = build(inputs, folder, progress=lambda *words: told.append(words))
    assert subprocess.run([program], capture_output=True, text=True).stdout == "6"
    assert {path.name for path in program.parent.iterdir()} == {"twice", "build.log"}  # no objects: they are large
    assert told[0] == ("Verilator writes C++", 0, 0) and told[1][:2] == ("compiling the simulator, C++ files", 0)
    assert all(
        done <= total and total in (2, 4) for _, done, total in told[1:]
    )  # of the runtime two, when not kept yet
    stamp = program.stat().st_mtime_ns
    assert build(inputs, folder) == program and program.stat().st_mtime_ns == stamp
    (inputs / "twice.v").write_text(VERILOG.replace("endmodule", "oops"))
    with pytest.raises(ToolchainError, match=r"(?s)verilator failed with code .*twice\.v:3.*\.log\)\n") as found:
        build(inputs, folder)
    assert "%Error" in found.value.line()
    (log,) = folder.glob("*.log")
    assert str(log) in found.value.line() and [path.name for path in folder.iterdir() if path.is_dir()] == [
        program.parent.name
    ]


def test_clang_builds_too(tmp_path, inputs, monkeypatch):
    if shutil.which("clang++") is None:
        pytest.skip("clang++ is not installed")
    monkeypatch.setenv("CXX", "clang++ -Wno-unused-command-line-argument")
    program = build(inputs, tmp_path / "builds")
    assert subprocess.run([program], capture_output=True, text=True).stdout == "6"
    assert "clang++ -Wno" in (program.parent / "build.log").read_text()


def test_key_covers_every_input(tmp_path, inputs, monkeypatch):
    """No build: a folder's name is the key."""
    monkeypatch.setattr(module, "kept", lambda folder, make, what, progress=None: folder)
    monkeypatch.setattr(toolchain, "versions", lambda: "1")
    keys = {build(inputs, tmp_path), build(inputs, tmp_path)}
    assert len(keys) == 1
    for change in (
        lambda: (inputs / "twice.v").write_text(VERILOG + "\n"),
        lambda: (inputs / "main.cpp").write_text(MAIN + "\n"),
        lambda: (inputs / "note.h").write_text("// something\n"),
        lambda: monkeypatch.setattr(module, "OPTIMIZE", ("-O2",)),
        lambda: monkeypatch.setattr(toolchain, "versions", lambda: "2"),
    ):
        change()
        keys.add(build(inputs, tmp_path))
    keys |= {build(inputs, tmp_path, options=["--trace"]), build(inputs, tmp_path, headers={"units.h": ""})}
    assert len(keys) == 8


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_programs_end_with_an_interrupt_and_leave_nothing(tmp_path, inputs, number):
    """A command under way gets the signal alone, as from `kill`: make and its compilers must not outlive it."""
    code = f"""
import sys
from triovit.flow import cli, doctor
from triovit.sim.verilate import verilate
def told(label, done, total):
    if label.startswith("compiling"):
        print("compiling", flush=True)
doctor.execute = lambda options: verilate(
    {json.dumps([str(inputs / "twice.v")])}, {json.dumps(str(inputs / "main.cpp"))}, top="twice",
    depends=[{json.dumps(str(inputs / "note.h"))}], progress=told)
sys.exit(cli.main(["doctor"]))
"""
    environment = os.environ | {"TRIOVIT_BUILD": str(tmp_path / "builds")}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=environment)  # fmt: skip
    assert process.stdout and process.stdout.readline() == "compiling\n"
    compilers = []
    while not compilers:
        compilers = _working_below(tmp_path / "builds")
        time.sleep(0.02)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert errors == f"triovit doctor: {'interrupted' if number == signal.SIGINT else 'ended by SIGTERM'}\n"
    assert all(gone(pid) for pid in compilers)
    assert not [path for path in (tmp_path / "builds").rglob("*") if path.suffix not in ("", ".log")]
    assert not list((tmp_path / "builds" / "verilator").glob("*partial*"))


def _working_below(folder) -> list[int]:
    """Processes whose current folder lies below a folder."""
    found = []
    for process in (path for path in Path("/proc").iterdir() if path.name.isdigit()):
        try:
            if (process / "cwd").readlink().is_relative_to(folder):
                found.append(int(process.name))
        except OSError:  # gone, or another user's
            continue
    return found
