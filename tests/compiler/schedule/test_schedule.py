"""Steps tell what they do, and what they tell is what the instructions say; drafts hold known fields only."""

from __future__ import annotations

import dataclasses
import re

import pytest

from tests.networks import NetworkBuilder, small_network
from triovit.compiler.compile import schedule_network
from triovit.compiler.lower.convolution import ConvolutionStep, lower_convolution
from triovit.compiler.memory.layout import tensor_layouts
from triovit.compiler.schedule.context import Context
from triovit.compiler.schedule.pipeline import plan
from triovit.compiler.schedule.rings import Area, Ring, Tile, TileRing, complete, span
from triovit.compiler.schedule.schedule import Draft, Schedule
from triovit.golden.integer.network import IntegerNetwork
from triovit.hdl.config.accelerator import PRESETS, AcceleratorConfig
from triovit.hdl.isa.instructions import Instruction, InstructionError
from triovit.hdl.isa.names import Opcode, Unit

TINY, CORE = PRESETS["trio-tiny"], PRESETS["trio-core"]


def context_of(network: IntegerNetwork, config: AcceleratorConfig, trace: bool = False) -> Context:
    return Context(config, tensor_layouts(network, config, trace), trace)


def scheduled(network: IntegerNetwork, config: AcceleratorConfig, trace: bool = False) -> Schedule:
    return schedule_network(network, context_of(network, config, trace), {})


# ---- what a step tells ----
def test_a_schedule_prints_what_every_step_does():
    schedule = scheduled(small_network(2, size=18), TINY, trace=True)
    lines = str(schedule).splitlines()
    assert len(lines) == len(schedule.steps) > 50
    assert [int(line.split()[0]) for line in lines] == list(range(len(lines)))
    text = "\n".join(re.sub(r" +", " ", line) for line in lines)
    for expected in (
        "0 stem ConvolutionStep(layer 1: rows 0..2 of output blocks 0..1 on both engines; "
        "results in O 0..53 (1 store); constants in W 0..35; constants in P 0..31; 243 cycles, 90 beats)",
        "mb1.project ConvolutionStep(layer 6: rows 0..4 of output blocks 2 on R-MAC, input rows of the step before; ",
        "12 mb1.depthwise DepthwiseStep(layer 5: rows 0 of channel blocks 0..5; results in O 972..1001 (1 store); ",
        "head.norm LayerNormStep(layer 22: 20 channels; features in A 1840..1844 (1 load); results in O 261..265 ",
        "head.pool PoolStep(layer 20: 5 x 5 pixels of channel blocks 0..1; ",
    ):
        assert expected in text, expected
    attention = next(line for line in lines if "AttentionStep" in line)
    for part in ("head 0 of branch 0, 25 tokens", "keys and values in A", "weights in K 0..23", "codes in O"):
        assert part in attention


def test_a_fused_pair_prints_both_layers():
    b = NetworkBuilder("pair", (3, 28, 28), 1)
    b.conv("stem", 128)
    b.conv("depthwise", 128, 3, groups=128)
    b.conv("point", 32)
    network = b.build()
    context = context_of(network, CORE)
    pair = network.nodes[1:3]
    pipeline = plan(*pair, context)
    assert pipeline is not None
    fused = [
        line
        for line in str(schedule_network(network, context, {"depthwise": (pipeline, *pair)})).splitlines()
        if "Fused" in line
    ]
    rows = span(0, pipeline.rows)
    assert f"depthwise rows {rows} of channel blocks 0..15; middle in O" in fused[0]
    assert (
        f"pointwise behind rows {rows} of channel blocks 0..15; middle in O" in fused[1] and "results in O" in fused[1]
    )
    assert "depthwise rows" not in fused[-1]


@pytest.mark.parametrize("config", [TINY, dataclasses.replace(CORE, cores=2)], ids=["tiny", "core"])
def test_what_steps_print_is_in_the_instructions(config):
    """Every result goes to a place that a step of its layer took, and every store comes from there."""
    schedule = scheduled(small_network(5, size=20), config)
    places = {
        (step.layer, area.at): area for step in schedule.steps for area in step.places.values() if area.ring == "O"
    }
    checked = 0
    for draft in schedule.drafts:
        i = draft.instruction
        if i.unit == Unit.STORE:
            assert i.local + i.words <= places[i.tag, i.local].at + places[i.tag, i.local].words
            checked += 1
        elif i.unit in (Unit.RMAC, Unit.MAT) and i.opcode != Opcode.MAT_JOIN and i.destination & 1:
            assert (i.tag, i.out_base) in places
            checked += 1
    assert checked > 50


def test_a_step_has_places_once_it_is_emitted():
    b = NetworkBuilder("one", (3, 6, 6), 1)
    b.conv("only", 8, 3)
    network = b.build()
    step = lower_convolution(network.nodes[0], 1, context_of(network, TINY))[0]
    assert isinstance(step, ConvolutionStep)
    assert "results in 36 words of O (1 store); constants in 36 words of W" in repr(step)
    with pytest.raises(RuntimeError, match="36 words of buffer W have no place yet"):
        step.run(Schedule(TINY, ["program", "only"]))
    schedule = Schedule(TINY, ["program", "only"])
    schedule.emit([step])
    assert "results in O 0..35 (1 store); constants in W 0..35" in repr(step)
    assert step.places["results"].at == 0 and step.rows == 3


def test_spans():
    assert (span(4, 1), span(4, 4)) == ("4", "4..7")
    assert str(Area("A", 1, address=3)) == "A 3"


def test_what_is_taken_in_parts_can_lie_side_by_side():
    ring = Ring(10)
    assert ring.take(6) == 0
    ring.join(4)
    assert ring.take(2) == 6  # the four fit
    ring.join(5)
    assert (ring.take(3), ring.take(2)) == (0, 3)  # two words before the end would have split the five


# ---- tiles ----
def test_tiles_keep_their_places_as_long_as_they_are_needed():
    ring = TileRing(10, 1)
    first, second, third = (Tile("W", 4, [], last_step=last) for last in (0, 5, 9))
    assert ring.place(first, 0) and ring.place(second, 0)
    assert (first.at, second.at) == (0, 4)
    assert not ring.place(third, 0)  # two words are left, and step 0 uses the first four
    assert ring.place(third, 1) and third.at == 0
    assert complete(first, second) == [(first, 0), (second, 0)]


def test_tiles_begin_with_a_row():
    ring = TileRing(24, 8)
    first, second, third, fourth = (Tile("W", words, [], last_step=9) for words in (3, 8, 1, 1))
    assert ring.place(first, 0) and ring.place(second, 0) and ring.place(third, 0)
    assert (first.at, second.at, third.at) == (0, 8, 16)
    assert not ring.place(fourth, 0)  # the rows have words left, but no row is


# ---- drafts ----
def test_unknown_fields_are_refused_when_the_draft_is_made():
    schedule = Schedule(TINY, ["program"])
    with pytest.raises(InstructionError, match="RMAC_CONV has no field words"):
        schedule.compute(Opcode.RMAC_CONV, words=3)
    with pytest.raises(InstructionError, match="MAT_JOIN has no field groups"):
        schedule.compute(Opcode.MAT_JOIN, groups=1)
    assert not schedule.drafts


def test_counts_that_are_not_named_are_one():
    schedule = Schedule(TINY, ["program"])
    schedule.compute(Opcode.RMAC_ROW_SUM, groups=3)
    schedule.compute(Opcode.MAT_JOIN)
    counts = schedule.drafts[0].instruction
    assert (counts.groups, counts.rows, counts.cols, counts.kernel_rows, counts.blocks) == (3, 1, 1, 1, 1)
    assert schedule.drafts[1].instruction == Instruction(Opcode.MAT_JOIN, {})


def test_editing_a_draft_leaves_the_instruction_as_it_was():
    before = Instruction(Opcode.STORE, {"words": 1, "rows": 1, "planes": 1})
    draft = Draft(before)
    draft.edit(signal=4, memory=64)
    assert (draft.instruction.signal, draft.instruction.memory, draft.instruction.words) == (4, 64, 1)
    assert before == Instruction(Opcode.STORE, {"words": 1, "rows": 1, "planes": 1})
    with pytest.raises(InstructionError, match="STORE has no field buffer"):
        draft.edit(buffer=1)
