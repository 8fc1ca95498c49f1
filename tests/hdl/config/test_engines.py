"""The list of units: what follows from it."""

import dataclasses
import enum

import pytest

from triovit.hdl.compute.engines import computing, pipelines_of
from triovit.hdl.config.accelerator import PRESETS, ConfigurationError
from triovit.hdl.config.engines import engines_of, semaphores
from triovit.hdl.isa.engines import ENGINES, Space, counters, traced
from triovit.hdl.isa.instructions import SEMAPHORES
from triovit.hdl.isa.names import Opcode, Unit

TRIO = ENGINES["trio"]
MAT = TRIO[-1]


class Further(enum.IntEnum):
    """Numbers of units that a tree with more engines would have."""

    UNIT5 = 5
    UNIT6 = 6


def further(number: int, **spaces):
    """A unit like the MAT, with another number and other spaces."""
    values = {name: frozenset(value) for name, value in spaces.items()}
    return dataclasses.replace(MAT, unit=Further(number), opcodes=(), **values)


@pytest.mark.parametrize("config", PRESETS.values(), ids=lambda config: config.name)
def test_every_instruction_has_its_unit(config):
    engines = engines_of(config)
    assert [engine.unit for engine in engines] == [unit for unit in Unit if unit is not Unit.FETCH]
    opcodes = [opcode for engine in engines for opcode in engine.opcodes]
    assert sorted(opcodes) == [opcode for opcode in Opcode if opcode >> 4 != Unit.FETCH]
    assert traced(engines) == tuple(Unit)


@pytest.mark.parametrize("config", PRESETS.values(), ids=lambda config: config.name)
def test_hardware_is_there_for_every_unit_that_computes(config):
    assert computing(pipelines_of(config)) == tuple(engine for engine in engines_of(config) if engine.computes)


def test_semaphores_of_today_keep_their_numbers():
    """Saved programs and their listings: 4 * giver + taker."""
    numbers = semaphores(TRIO)
    assert numbers == {
        (giver, taker): 4 * (giver - 1) + taker - 1
        for giver in Unit
        for taker in Unit
        if Unit.FETCH not in (giver, taker) and (giver, taker) not in ((Unit.LOAD,) * 2, (Unit.STORE,) * 2)
    }


def test_a_pair_needs_a_semaphore_when_one_writes_what_the_other_touches():
    reader = further(5, reads={Space.C}, writes={Space.K})
    pairs = set(semaphores((*TRIO, reader)))
    other = reader.unit
    assert {(Unit.LOAD, other), (other, Unit.LOAD)} <= pairs  # LOAD writes C
    assert {(Unit.MAT, other), (other, Unit.MAT)} <= pairs  # MAT reads K
    assert (Unit.RMAC, other) in pairs  # both write K
    assert not {(Unit.STORE, other), (other, Unit.STORE), (other, other)} & pairs


@pytest.mark.parametrize("count", (5, 6))
def test_more_units_fit(count):
    """Further units that read A and write O share a buffer with every other one, but read no own results."""
    units = [further(4 + k, reads={Space.A, Space.P}, writes={Space.O}) for k in range(1, count - 3)]
    numbers = semaphores((*TRIO, *units))
    assert len(numbers) == count * count - count + 2 <= SEMAPHORES
    assert sorted(set(numbers.values())) == sorted(numbers.values()) and max(numbers.values()) < SEMAPHORES
    fewer = semaphores((*TRIO, *units[:-1]))
    assert numbers == numbers | fewer  # a further unit changes no number


def test_too_many_pairs_are_refused_with_their_number():
    units = [further(4 + k, reads=MAT.reads, writes=MAT.writes) for k in (1, 2)]
    with pytest.raises(ConfigurationError, match=r"UNIT5, UNIT6 need 34 semaphores.*the machine has 32"):
        semaphores((*TRIO, *units))


def test_counters_have_the_names_of_their_units():
    names = [counter.name for counter in counters(TRIO)]
    assert names == [
        "LOAD_BUSY", "STORE_BUSY", "RMAC_BUSY", "MAT_BUSY", "RMAC_STALL", "MAT_STALL", "BEATS_READ", "BEATS_WRITTEN",
    ]  # fmt: skip
