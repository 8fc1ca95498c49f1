"""Nothing depends on what registers and memories hold before the reset: machines without initial values, in technology
asic, end with the same memory in the same cycles."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from tests.networks import NetworkBuilder, random_image
from tests.sim.configurations import TINY
from tests.sim.host import DONE, Host
from tests.sim.random_programs import random_program
from triovit.compiler.compile import compile_network
from triovit.golden.integer.execute import execute
from triovit.hdl.isa.names import ErrorCode
from triovit.sim.rtl.verilog import verilog_folder

ASIC = dataclasses.replace(TINY, technology="asic").validate()
SEEDS = (1, 2, 3)  # of values before the reset
PROGRAMS = range(12)
_VALUE = re.compile(r"^(\s*reg\b[^=;]*?)\s+= [^;]+;$", re.M)
_BLOCK = re.compile(r"^  initial begin\n.*?^  end\n", re.M | re.S)


def without_initial_values(text: str) -> str:
    """Verilog whose registers and arrays of registers begin with anything."""
    return _BLOCK.sub("", _VALUE.sub(r"\1 ;", text))


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Path:
    """Folder of the machine's Verilog without initial values."""
    folder, machine = tmp_path_factory.mktemp("bare"), verilog_folder(ASIC)
    for file in machine.iterdir():
        text = file.read_text()
        (folder / file.name).write_text(without_initial_values(text) if file.suffix == ".v" else text)
    return folder


def test_values_are_taken_out(bare):
    """Of the registers with a reset as well: there are hundreds of both, and none is left."""
    before, after = ((folder / "triovit.v").read_text() for folder in (verilog_folder(ASIC), bare))
    assert len(_VALUE.findall(before)) > 500 and len(_BLOCK.findall(before)) > 5
    assert not re.search(r"\binitial\b", re.sub("//.*", "", after)) and not re.search(r"\breg\b[^;]*=", after)
    assert "memory_control" in after and (bare / "triovit_ram_512x32_latency2.v").exists()


def run_all(host: Host):
    """Random programs, and a network of two layers behind them."""
    programs = [random_program(TINY, seed) for seed in PROGRAMS]
    for program in programs:
        host.run(program.memory, program.program_bytes, program.core_stride)
    builder = NetworkBuilder("two layers", (3, 9, 9), 5)
    builder.conv("first", 12, 3, stride=2, activation="hardswish")
    builder.conv("second", 9, 1)
    network = builder.build()
    compiled, image = compile_network(network, TINY), random_image(network, 2)
    memory = compiled.image(fill=0xA5)
    compiled.write_input(memory, image)
    host.run(memory, len(compiled.program_bytes()))
    outcomes = host.execute()
    result = compiled.read_tensor(outcomes[-1].memory, network.output)
    assert np.array_equal(result, execute(network, image)[network.output])
    return outcomes


@pytest.fixture(scope="module")
def expected():
    return run_all(Host(TINY, memory_bytes=1 << 18))


@pytest.mark.parametrize("power_up", SEEDS)
def test_same_memory_in_the_same_cycles(bare, expected, power_up):
    found = run_all(Host(ASIC, memory_bytes=1 << 18, folder=bare, power_up=power_up))
    for mine, other in zip(found, expected, strict=True):
        assert (mine.status, mine.error) == (DONE, ErrorCode.NONE)
        assert mine.cycles == other.cycles and mine.counters == other.counters
        assert np.array_equal(mine.memory, other.memory)
