"""Synthesis with Yosys: what is kept, its log, its errors."""

import json

import pytest

from triovit.flow import synthesis
from triovit.flow.errors import UsageError
from triovit.flow.synthesis import synthesize
from triovit.sim.toolchain import ToolchainError

DESIGN = "module top(input a, input b, output y); part p(.a(a), .b(b), .y(y)); endmodule\n"
PART = "module part(input a, input b, output y); assign y = a ^ b; endmodule\n"


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setenv("TRIOVIT_BUILD", str(tmp_path / "build"))
    (tmp_path / "a folder").mkdir()
    for name, text in (("top.v", DESIGN), ("part.v", PART)):
        (tmp_path / "a folder" / name).write_text(text)
    return [tmp_path / "a folder" / name for name in ("top.v", "part.v")]


def test_netlist_is_kept(files, tmp_path):
    told = []
    found = synthesize(files, "xcup", "top", tmp_path / "log", lambda *words: told.append(words))
    assert found.cells() == {"LUT2": 1} == found.cells("part")
    assert "part" in json.loads(found.netlist.read_text())["modules"]
    assert told and told[-1][0].startswith("Yosys (xcup), ")
    assert {path.name for path in found.folder.iterdir()} == {"synthesis.log", "cells.json", "netlist.json"}
    log = (tmp_path / "log").read_text()
    assert log == found.log.read_text() and "synth_xilinx" in log
    told.clear()
    assert synthesize(files, "xilinx", "top", tmp_path / "again", lambda *words: told.append(words)) == found
    assert not told and (tmp_path / "again").read_text() == log


def test_what_a_netlist_depends_on(files, monkeypatch):
    folders = {synthesize(files, "ecp5", "top").folder, synthesize(files, "ecp5", "part").folder}
    files[1].write_text(PART.replace("^", "&"))
    folders |= {synthesize(files, "ecp5", "top").folder, synthesize(files, "ecp5-flat", "top").folder}
    monkeypatch.setitem(synthesis.COMMANDS, "ecp5", "synth_ecp5 -noflatten -nodsp")
    folders.add(synthesize(files, "ecp5", "top").folder)
    assert len(folders) == 5


def test_without_a_module(files):
    """It counts as a cell of its type, and is another netlist."""
    found = synthesize(files, "xcup", "top", without="part")
    assert found.cells() == {"part": 1}
    assert found.folder != synthesize(files, "xcup", "top").folder


def test_failures_leave_nothing_but_the_log(files, tmp_path):
    files[1].write_text("module part(input a, input b, output y); nothing x(); endmodule")
    with pytest.raises(ToolchainError, match=rf"Yosys failed \({tmp_path}/log\): .*ERROR: .*nothing"):
        synthesize(files, "generic", "top", tmp_path / "log")
    assert "nothing" in (tmp_path / "log").read_text()
    with pytest.raises(ToolchainError, match=r"Yosys failed: .*ERROR: "):
        synthesize(files, "generic", "top")
    assert not list((tmp_path / "build" / "synthesis").iterdir())


def test_unknown_target(files):
    with pytest.raises(UsageError, match="synthesis must be for one of generic, xcup, ecp5, xilinx, not 'altera'"):
        synthesize(files, "altera", "top")
