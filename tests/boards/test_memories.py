"""Block RAMs of a RAM, as Yosys' synthesis maps it, and multiplexers around the banks."""

import json
import subprocess
import sys

import pytest

from triovit.boards.devices import Family
from triovit.boards.measurements import resources
from triovit.boards.memories import all_block_rams, block_rams, multiplexers
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.memory.ram import RAM_SOURCE

# Up to the step that maps memories; what follows is logic.
SYNTHESIS = {
    Family.XILINX: "synth_xilinx -family xcup -noiopad -noclkbuf -top triovit_ram -run begin:map_ffram",
    Family.ECP5: "synth_ecp5 -top triovit_ram -run begin:map_ffram",
}
RAMS = {  # width, depth: on both sides of every threshold
    Family.XILINX: [
        (4, 512),
        (4, 1024),
        (32, 64),
        (32, 128),
        (32, 512),
        (32, 2048),
        (64, 64),
        (64, 512),
        (64, 640),
        (64, 1536),
        (128, 1024),
    ],
    Family.ECP5: [(4, 256), (4, 512), (32, 32), (32, 64), (32, 1024), (64, 16), (64, 4096)],
}
PROGRAM = """
import sys
from pyosys import libyosys as ys
for word in sys.argv[4:]:
    width, depth = word.split("x")
    bits = (int(depth) - 1).bit_length()
    design = ys.Design()
    for command in (
        f"read_verilog {sys.argv[1]}",
        f"chparam -set WIDTH {width} -set DEPTH {depth} -set ADDRESS_BITS {bits} triovit_ram",
        sys.argv[2],
        f"tee -q -o {sys.argv[3]}/{word}.json stat -json",
    ):
        ys.run_pass(command, design)
"""


@pytest.mark.slow
@pytest.mark.parametrize("family", Family)
def test_synthesis_agrees(family, tmp_path):
    words = [f"{width}x{depth}" for width, depth in RAMS[family]]
    command = [sys.executable, "-c", PROGRAM, RAM_SOURCE, SYNTHESIS[family], tmp_path, *words]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    for width, depth in RAMS[family]:
        (module,) = json.loads((tmp_path / f"{width}x{depth}.json").read_text())["modules"].values()
        found = resources(module["num_cells_by_type"])
        assert block_rams(width, depth, family) == found.ram, (width, depth)
        assert (found.ram > 0) != (found.lut > 0)


def test_multiplexers():
    """By hand, block 4: words of 32 bits, beats of 2 words. A has 4 banks (a rotation of 2 stages), O two, B four."""
    config = AcceleratorConfig(block=4, data_bytes=8, cores=3).validate()
    assert multiplexers(config) == {"core": 32 * (2 + 2 + 4 * 2 + 1), "shared": 32 * (2 + 2 + 2 * 2 + 3)}


def test_memories_of_luts_are_no_block_rams():
    """K of 64 rows is made of LUTs, one of 65 rows of a block RAM in each bank."""
    shallow, deep = (AcceleratorConfig(attention_bytes=64 * rows).validate() for rows in (64, 65))
    assert all_block_rams(deep, Family.XILINX) - all_block_rams(shallow, Family.XILINX) == 8
