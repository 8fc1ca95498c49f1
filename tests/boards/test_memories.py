"""Block RAMs of a RAM, as Yosys' synthesis maps it, and multiplexers around the banks."""

import json
import subprocess
import sys

import pytest

from triovit.boards.devices import Family
from triovit.boards.estimate import estimate
from triovit.boards.measurements import resources
from triovit.boards.memories import Memory, block_rams, memory_luts, multiplexers
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.memory.ram import RAM_SOURCE

# Up to the step that maps memories; what follows is logic.
SYNTHESIS = {
    Family.XILINX: "synth_xilinx -family xcup -noiopad -noclkbuf -top triovit_ram -run begin:map_ffram",
    Family.ECP5: "synth_ecp5 -top triovit_ram -run begin:map_ffram",
}
RAMS = {  # on both sides of every threshold, with strobes of parts and as LUTs whatever the size
    Family.XILINX: [
        Memory(1, 4, 512),
        Memory(1, 4, 1024),
        Memory(1, 32, 64),
        Memory(1, 32, 128),
        Memory(1, 32, 2048),
        Memory(1, 64, 640),
        Memory(1, 64, 1536),
        Memory(1, 64, 128, parts=8),
        Memory(1, 128, 16, parts=16, luts=True),
        Memory(1, 32, 64, parts=4, luts=True),
        Memory(1, 108, 4, luts=True),
        Memory(1, 216, 33, luts=True),
        Memory(1, 4, 1024, luts=True),
    ],
    Family.ECP5: [
        Memory(1, 4, 256),
        Memory(1, 32, 32),
        Memory(1, 32, 64),
        Memory(1, 64, 16),
        Memory(1, 64, 4096),
        Memory(1, 64, 128, parts=8),
        Memory(1, 64, 33, parts=8, luts=True),
        Memory(1, 108, 32, luts=True),
    ],
}
PROGRAM = """
import sys
from pyosys import libyosys as ys
for word in sys.argv[4:]:
    width, depth, parts, style = word.split("-")
    bits = (int(depth) - 1).bit_length()
    design = ys.Design()
    for command in (
        f"read_verilog {sys.argv[1]}",
        f"chparam -set WIDTH {width} -set DEPTH {depth} -set ADDRESS_BITS {bits} -set PARTS {parts} triovit_ram",
        f'chparam -set STYLE "{style}" triovit_ram',
        sys.argv[2],
        f"tee -q -o {sys.argv[3]}/{word}.json stat -json",
    ):
        ys.run_pass(command, design)
"""


@pytest.mark.slow
@pytest.mark.parametrize("family", Family)
def test_synthesis_agrees(family, tmp_path):
    words = [f"{ram.width}-{ram.depth}-{ram.parts}-{'distributed' if ram.luts else 'auto'}" for ram in RAMS[family]]
    command = [sys.executable, "-c", PROGRAM, RAM_SOURCE, SYNTHESIS[family], tmp_path, *words]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    for word, ram in zip(words, RAMS[family], strict=True):
        (module,) = json.loads((tmp_path / f"{word}.json").read_text())["modules"].values()
        found = resources(module["num_cells_by_type"])
        assert block_rams(ram, family) == found.ram, ram
        assert memory_luts(ram, family) == found.lut, ram


def test_multiplexers():
    """By hand, block 4: words of 32 bits, beats of 2 words. A has 4 banks (a rotation of 2 stages), O two, B four."""
    config = AcceleratorConfig(block=4, data_bytes=8, cores=3).validate()
    assert multiplexers(config) == {"core": 32 * (2 + 2 + 4 * 2 + 1), "shared": 32 * (2 + 2 + 2 * 2 + 3)}
    # Two ports of two words and two cores each: a rotation of four words, those of each port's LOAD and STORE, a choice
    # between a port's two cores.
    config = AcceleratorConfig(block=4, data_bytes=8, cores=4, ports=2).validate()
    assert multiplexers(config)["shared"] == 32 * (4 * 2 + 2 * 2 + 2 * 2 + 2 * 2 + 3)


def test_memories_of_luts_are_no_block_rams():
    """K of 64 rows is made of LUTs, one of 65 rows of a block RAM in each column."""
    shallow, deep = (
        estimate(AcceleratorConfig(attention_bytes=64 * rows).validate(), Family.XILINX) for rows in (64, 65)
    )
    assert deep.ram - shallow.ram == 8 and deep.lut < shallow.lut
