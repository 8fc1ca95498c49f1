"""Kinds of RAM as modules of their own."""

import re

import pytest

from triovit.flow.synthesis import lint
from triovit.hdl.emit.verilog import emit_verilog
from triovit.hdl.memory.bank_array import BankArray
from triovit.hdl.memory.column_memory import ColumnMemory
from triovit.hdl.memory.macro import MacroKind
from triovit.hdl.memory.ram import RAM_SOURCE, Ram
from triovit.hdl.technology import ASIC, GENERIC
from triovit.sim.bench import run_bench


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (MacroKind(1024, 64, 1, 2, "auto"), "triovit_ram_1024x64_latency2"),
        (MacroKind(64, 32, 4, 1, "distributed"), "triovit_ram_64x32_parts4_latency1_distributed"),
    ],
)
def test_names(kind, name):
    assert kind.module == name and re.findall(r"^module (\w+)", kind.text, re.M) == [name]
    assert kind.bits == kind.depth * kind.width


def test_what_makes_a_kind():
    """RAMs that differ in anything are different modules; equal ones are one."""
    rams = [Ram(8, 16), Ram(8, 17), Ram(9, 16), Ram(8, 16, latency=2), Ram(8, 16, parts=2), Ram(8, 16, "block")]
    assert len({ram.kind.module for ram in rams}) == len(rams) and Ram(8, 16).kind == rams[0].kind


def test_files_and_pins(tmp_path):
    """A file for each kind, and the input of the top module that all of them get; only in technology asic."""
    emitted = emit_verilog(ColumnMemory(32, 4, 3), "memory", technology=ASIC)
    module = "triovit_ram_8x32_parts4_latency1_distributed"
    assert emitted.extra_files == (RAM_SOURCE,) and set(emitted.extra_texts) == {module}
    assert emitted.ports[-1] == ("memory_control", "input", 16)
    files = emitted.write(tmp_path)
    assert [file.name for file in files] == ["memory.v", "ram.v", f"{module}.v"]
    assert not lint(files, "memory")
    assert f"{module} ram (" in files[0].read_text() and files[0].read_text().count(".memory_control(") == 4
    plain = emit_verilog(ColumnMemory(32, 4, 3), "memory", technology=GENERIC)
    assert not plain.extra_texts and "memory_control" not in {name for name, _, _ in plain.ports}


def test_two_designs_have_macros_of_their_own(tmp_path):
    emitted = emit_verilog(BankArray(64, 4, 8, 2), "left", technology=ASIC, own_names=True)
    files = emitted.write(tmp_path)
    assert [file.name for file in files] == ["left.v", "left_ram.v", "left_ram_16x8_latency2.v"]
    assert not lint(files, "left") and "triovit" not in "".join(file.read_text() for file in files)


def test_bench():
    """The macro's module behaves as the RAM: the bench of a bank array."""
    shape = (40, 4, 16, 2)
    run_bench(
        BankArray(*shape),
        "tests.hdl.memory.bench_bank_array",
        name="macro_banks",
        parameters={"shape": shape},
        technology=ASIC,
    )
