"""Nests against the loops of docs/architecture.md turn by turn, and against the words that the simulator touches."""

from __future__ import annotations

import enum
from collections import defaultdict
from types import SimpleNamespace

import numpy as np
import pytest

from tests.machine.loops import RECORD_WORDS, enumerate_loops
from tests.sim.configurations import PAIR, TINY, WIDE
from tests.sim.random_programs import random_program
from triovit.hdl.isa.instructions import Instruction
from triovit.hdl.isa.names import Destination, Opcode, PostMode, Unit
from triovit.machine.accesses import accesses
from triovit.machine.compute import PSUMS, execute_compute
from triovit.machine.cycles import compute_steps
from triovit.machine.functional import FunctionalSimulator
from triovit.machine.nests import NESTS, Nest, engines, nest, transfer_nest
from triovit.machine.state import State
from triovit.machine.walk import Walk

PROGRAMS = {"tiny": (TINY, 24), "two cores": (PAIR, 8), "wide": (WIDE, 8)}


def programs(name: str):
    config, count = PROGRAMS[name]
    return [random_program(config, seed) for seed in range(count)]


def computations(name: str) -> list[tuple[Instruction, Unit]]:
    """Every computation of some random programs, once for each engine it drives."""
    found = [i for program in programs(name) for i in program.instructions if i.opcode in NESTS]
    return [(i, unit) for i in found for unit in engines(i)]


def sums_of(loops: Nest) -> list[list[tuple[int, int]]]:
    """Pairs of words that every row of results adds up, as `enumerate_loops` has them."""

    def all_turns(walk: Walk | None) -> np.ndarray:
        """First word of every turn, (rows, turns of a sum); -1 when there is no such operand."""
        words = np.full(1, -1) if walk is None else walk.index(loops.counts)[..., 0]
        return np.broadcast_to(words, loops.counts).reshape(int(np.prod(loops.rows)), -1)

    second = all_turns(loops.weights if loops.values is None else loops.values)
    return [
        sorted(zip(a, b, strict=True)) for a, b in zip(all_turns(loops.features).tolist(), second.tolist(), strict=True)
    ]


@pytest.mark.parametrize("name", PROGRAMS)
def test_loops_are_those_of_the_architecture(name):
    block = PROGRAMS[name][0].block
    tried = set()
    for i, unit in computations(name):
        loops, expected = nest(i, block, unit), enumerate_loops(i, block, unit)
        assert sums_of(loops) == [sorted(expected.sums[row]) for row in range(len(expected.places))], i
        rows = (loops.out, loops.records) if loops.kept is None else (loops.out, loops.records, loops.kept)
        places = zip(*(walk.every(loops.rows)[:: walk.words].tolist() for walk in rows), strict=True)
        assert list(places) == [
            (out, record * RECORD_WORDS, kept)[: len(rows)] for out, record, kept in expected.places
        ], i
        assert loops.accumulations * loops.steps == expected.steps, i
        tried.add((i.opcode, unit))
    wanted = {(op, unit) for op in NESTS for unit in ((Unit.MAT,) if op == Opcode.MAT_CONV else (Unit.RMAC,))}
    assert tried == wanted | {(Opcode.RMAC_CONV, Unit.MAT)}


@pytest.mark.parametrize("name", PROGRAMS)
def test_accesses_are_those_of_the_architecture(name):
    config = PROGRAMS[name][0]
    for i, unit in computations(name):
        expected = enumerate_loops(i, config.block, unit)
        found = {False: set(), True: set()}
        for space, words, write in accesses(config, i, unit):
            found[write] |= {(space, word) for word in words.tolist()}
        assert found == {False: expected.reads, True: expected.writes}, i


@pytest.mark.parametrize("name", PROGRAMS)
def test_accesses_are_the_words_that_the_simulator_touches(name):
    """LOAD and STORE too. The functional simulator indexes arrays with the words it touches."""
    config = PROGRAMS[name][0]
    for program in programs(name):
        simulator = FunctionalSimulator(config, program.memory.copy(), program.core_stride)
        touched = defaultdict(set)

        def note(unit, space, words, write, simulator=simulator, touched=touched):
            touched[simulator.state.index, unit, write] |= {(space, word) for word in words.tolist()}

        simulator.state.observer = note
        simulator.run()
        derived = defaultdict(set)
        for index, i in enumerate(program.instructions):
            if i.opcode in NESTS or i.unit in (Unit.LOAD, Unit.STORE):
                for unit in engines(i):
                    for space, words, write in accesses(config, i, unit):
                        derived[index, unit, write] |= {(space, word) for word in words.tolist()}
        assert touched == derived


def test_distinct_words():
    """Each once, in order, however the loops overlap."""
    rng = np.random.default_rng(3)
    for _ in range(300):
        counts = tuple(rng.integers(1, 5, 4).tolist())
        walk = Walk("A", int(rng.integers(50)), tuple(rng.integers(0, 9, 4).tolist()), int(rng.integers(1, 4)))
        assert walk.distinct(counts).tolist() == sorted(set(walk.every(counts).tolist()))


def test_a_transfer():
    load = {"words": 3, "rows": 2, "planes": 2, "local": 5, "local_row": 3, "local_plane": 10}
    load |= {"memory": 40, "memory_row": 16, "memory_plane": 400, "buffer": 2}
    loops = transfer_nest(Instruction(Opcode.LOAD, load), 4)
    assert loops.local.space == "B"
    assert loops.local.every(loops.counts).tolist() == [5, 6, 7, 8, 9, 10, 15, 16, 17, 18, 19, 20]
    assert loops.memory.every(loops.counts).tolist() == [10, 11, 12, 14, 15, 16, 110, 111, 112, 114, 115, 116]


@pytest.mark.parametrize("opcode", [Opcode.MAT_JOIN, Opcode.LOAD, Opcode.END])
def test_what_computes_nothing_has_no_loops(opcode):
    with pytest.raises(ValueError, match=f"{opcode.name} computes nothing.*RMAC_CONV"):
        nest(Instruction(opcode, {}), 4)


# ---- rehearsal: what another opcode takes ----
class Extra(enum.IntEnum):
    """An opcode that the instruction set does not have."""

    RMAC_MAXIMUM = 0x3F


def maximum(i, block: int, unit: Unit) -> Nest:
    """Largest value of each channel over the pixels of a map: channel block | row, column."""
    return Nest(
        block=block,
        rows=(i.groups,),
        sums=(i.rows, i.cols),
        features=Walk("A", i.in_base, (i.in_group, i.in_row, 1)),
        records=Walk("P", i.parameters * RECORD_WORDS, (RECORD_WORDS,), RECORD_WORDS),
        out=Walk("O", i.out_base, (i.out_group,)),
    )


def test_a_new_opcode_is_a_row_of_the_table(monkeypatch):
    """One row gives accesses and cycles; with its arithmetic the functional simulator runs it."""
    monkeypatch.setitem(NESTS, Extra.RMAC_MAXIMUM, maximum)
    monkeypatch.setitem(PSUMS, maximum, lambda port, loops, i: port.features(loops, 0).max(axis=(1, 2)))
    fields = {"groups": 2, "rows": 3, "cols": 5, "in_base": 7, "in_group": 20, "in_row": 6, "parameters": 1}
    fields |= {"out_base": 9, "out_group": 2, "destination": int(Destination.O), "mode": PostMode.LINEAR}
    i = SimpleNamespace(opcode=Extra.RMAC_MAXIMUM, unit=Unit.RMAC, residual=0, source=0, **fields)

    found = {(space, write): words.tolist() for space, words, write in accesses(TINY, i, Unit.RMAC)}
    pixels = [7 + 20 * g + 6 * y + x for g in range(2) for y in range(3) for x in range(5)]
    assert found == {("A", False): pixels, ("P", False): list(range(16, 48)), ("O", True): [9, 11]}
    assert compute_steps(TINY, i) == 2 * 3 * 5

    state = State(TINY, np.zeros(1024, dtype=np.uint8), 0)
    buffers = state.cores[0].buffers
    buffers["P"][16:48] = 0  # records that leave a psum as it is
    buffers["P"].reshape(-1)[[w * TINY.block + 4 for w in range(16, 48) if w * TINY.block % 16 == 0]] = 1  # m1
    expected = buffers["A"][pixels].reshape(2, 15, TINY.block).max(axis=1)
    execute_compute(state, i)
    assert np.array_equal(buffers["O"][[9, 11]], expected)
