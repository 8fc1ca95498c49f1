"""The table of on-chip memories is what the hardware is made of."""

import pytest

from triovit.hdl.config.accelerator import PRESETS
from triovit.hdl.config.buffers import SHARED, buffers, copies
from triovit.hdl.isa.engines import Space


@pytest.mark.parametrize("preset", PRESETS)
def test_sizes(preset):
    config = PRESETS[preset]
    shapes = buffers(config)
    assert {space.value: shape.words for space, shape in shapes.items()} == config.words
    assert shapes.keys() == set(Space) - {Space.MEMORY}
    for space, shape in shapes.items():
        assert shape.words % shape.banks == 0
        assert copies(space, config) == (1 if space in SHARED else config.cores)
