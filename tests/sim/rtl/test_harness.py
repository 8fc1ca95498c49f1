"""The harness compiles with every compiler that is there, without a remark, whatever headers are included before it."""

import shlex
import shutil
import subprocess

import pytest

from tests.sim.copier import TABLES, Copier
from triovit import sim
from triovit.hdl.emit.verilog import emit_verilog
from triovit.sim import toolchain
from triovit.sim.rtl.simulation import RtlSimulation

HARNESS = f"{sim.__path__[0]}/rtl/harness.cpp"
# What other standard libraries and versions of Verilator include: all of the library's names are seen.
BEFORE = ("", "-include iomanip", "-include bits/stdc++.h")


@pytest.fixture(scope="module")
def verilated(tmp_path_factory):
    """Folder with what Verilator writes for a small design."""
    folder = tmp_path_factory.mktemp("verilated")
    names = {"clk": "aclk", "rst": "aresetn"}
    emit_verilog(Copier(16), "triovit", ports=names, reset_active_low=True, tables=TABLES).write(folder)
    (folder / "units.h").write_text(RtlSimulation(folder, 16)._header())
    toolchain.enter(folder)
    words = ["verilator", "--cc", "--prefix", "Vtop", "-Mdir", ".", "-Wno-fatal", "-Wno-lint", "triovit.v"]
    toolchain.run(words, folder, folder / "log")
    return folder


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("compiler", toolchain.COMPILERS)
def test_compiles_without_a_remark(verilated, compiler, before):
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    words = f"{compiler} -std=c++20 -Wall -Wextra -Werror -fsyntax-only -I. -isystem verilator/include {before}"
    done = subprocess.run([*shlex.split(words), HARNESS], cwd=verilated, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
