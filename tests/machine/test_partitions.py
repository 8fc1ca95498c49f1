"""Partitions: every place of the stripes and the cores has one place in memory, beat by beat and port by port."""

import dataclasses

import numpy as np
import pytest

from tests.sim.configurations import FOUR, PORTS, TINY
from triovit.hdl.isa.instructions import Instruction
from triovit.hdl.isa.names import Buffer, Opcode
from triovit.machine.partitions import Partitions, Stripes, is_striped

SIZE = 4096


@pytest.mark.parametrize("config", (TINY, PORTS, FOUR), ids=lambda config: config.name)
def test_stripes_fill_all_partitions(config):
    partitions = Partitions(config, SIZE)
    places = np.arange(config.ports * SIZE)
    striped = partitions.striped(places)
    assert np.array_equal(np.sort(striped), places)
    # Consecutive beats are in one partition after the other, at the same place of each.
    beats = striped.reshape(-1, config.ports, config.data_bytes)
    starts = np.arange(SIZE // config.data_bytes)[:, None] * config.data_bytes + np.arange(config.ports) * SIZE
    assert np.array_equal(beats, starts[:, :, None] + np.arange(config.data_bytes))
    assert np.array_equal(partitions.inside(places), striped % SIZE)
    assert np.array_equal(partitions.port(places), striped // SIZE)
    assert partitions.striped(int(places[-1])) == int(striped[-1])  # a single place, too


def test_start():
    """Where a region begins at the same place in every partition."""
    stripes = Stripes(FOUR)
    assert stripes.inside(stripes.start(256)) == 256 and stripes.port(stripes.start(256)) == 0
    assert Partitions(FOUR, SIZE).striped(stripes.start(256) + FOUR.data_bytes) == SIZE + 256


def test_words():
    """Places are words of the configuration where they say so."""
    words, in_bytes = Partitions(FOUR, SIZE // FOUR.block, FOUR.block), Partitions(FOUR, SIZE)
    assert all(words.striped(k) * FOUR.block == in_bytes.striped(k * FOUR.block) for k in range(200))


def test_cores():
    """Each port has an equal part of the cores, in their order."""
    partitions = Partitions(FOUR, SIZE)
    assert [partitions.of_core(core, 512) for core in range(8)] == [
        0, 512, SIZE, SIZE + 512, 2 * SIZE, 2 * SIZE + 512, 3 * SIZE, 3 * SIZE + 512,
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"core must be 0\.\.7, not 8"):
        partitions.of_core(8, 512)


def test_one_port_has_the_memory_as_it_is():
    partitions = Partitions(dataclasses.replace(TINY, cores=3), SIZE)
    assert [partitions.striped(k) for k in (0, 7, 100)] == [0, 7, 100]
    assert partitions.of_core(2, 512) == 1024


def test_what_is_striped():
    loads = [Instruction(Opcode.LOAD, {"buffer": buffer}) for buffer in Buffer]
    assert [i.buffer for i in loads if is_striped(i)] == [Buffer.B, Buffer.C, Buffer.P]
    assert not is_striped(Instruction(Opcode.STORE, {}))
