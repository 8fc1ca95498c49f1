"""What integrity adds to an estimate."""

import dataclasses

import pytest

from triovit.boards.devices import Family
from triovit.boards.estimate import estimate, estimate_part
from triovit.boards.integrity import DECODER, ENCODER, integrity_luts
from triovit.boards.measurements import CORE, SHARED
from triovit.hdl.config.accelerator import PRESETS, AcceleratorConfig
from triovit.hdl.config.ranges import BLOCKS


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("block", BLOCKS)
def test_nothing_without(block, family):
    config = AcceleratorConfig(block=block, data_bytes=block, burst_beats=16).validate()
    checked = dataclasses.replace(config, integrity=True)
    for part in (CORE, SHARED):
        assert integrity_luts(config, family, part) == 0 < integrity_luts(checked, family, part)
        less, more = (estimate_part(one, family, part) for one in (config, checked))
        assert more.lut - less.lut >= integrity_luts(checked, family, part) and more.dsp == less.dsp


def test_block_rams():
    """Words of 64 bits fill what a block RAM of 72 has; words of 32 need more."""
    rams = {name: [estimate(dataclasses.replace(config, integrity=on), Family.XILINX).ram for on in (False, True)]
            for name, config in PRESETS.items()}  # fmt: skip
    assert rams.pop("trio-tiny") == [18, 33]
    assert rams == {"trio-core": [96, 96], "trio-zcu102": [688, 688], "trio-zcu104": [240, 240]}


def test_coders_of_a_core():
    """Of trio-core: A has 8 banks and a port of 2 words, O 2 banks and 2 words."""
    config = dataclasses.replace(PRESETS["trio-core"], integrity=True)
    coders = 4 * ENCODER[Family.XILINX][64] + 10 * DECODER[Family.XILINX][64]
    assert 0 < integrity_luts(config, Family.XILINX, CORE) - coders < 800
