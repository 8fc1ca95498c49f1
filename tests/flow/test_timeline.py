"""The picture of a run: every instruction of the run, in its cycles, in its unit's row."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from triovit.compiler.compile import compile_network
from triovit.flow.timeline import BAR, COLOURS, LEFT, LINES, RIGHT, WIDTH, Interval, intervals, timeline
from triovit.golden.integer.serialize import load_network
from triovit.hdl.config.accelerator import load_config
from triovit.hdl.isa.names import Opcode, Unit
from triovit.sim.rtl.machine import RtlMachine

ROOT = Path(__file__).resolve().parents[2]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def run(small_file):
    network = load_network(small_file)
    program = compile_network(network, load_config("trio-tiny"))
    return network, program, RtlMachine(program).run([np.zeros(network.input_shape, np.int8)])[0]


def test_intervals_are_the_program_s_instructions(run):
    network, program, result = run
    found = intervals(network, program, result.events)
    units = [i.unit for i in program.instructions if i.opcode not in (Opcode.PROGRAM, Opcode.END)]
    assert [interval.unit for interval in found] == [unit for unit in units if unit != Unit.FETCH]
    assert all(0 <= i.first < i.last <= result.cycles + 64 for i in found)
    assert {"pointwise", "depthwise", "attention"} < {i.kind for i in found}


def test_the_mat_engine_does_not_join_before_its_convolution(run):
    network, program, result = run
    found = iter(intervals(network, program, result.events))
    wanted = [i for i in program.instructions if i.opcode not in (Opcode.PROGRAM, Opcode.END)]
    pairs = list(zip(wanted, found, strict=True))
    joint = [interval for i, interval in pairs if i.opcode == Opcode.RMAC_CONV and i.fields.get("joint")]
    joins = [interval for i, interval in pairs if i.opcode == Opcode.MAT_JOIN]
    assert joint and all(join.first >= conv.first for join, conv in zip(joins, joint, strict=True))


def bars(text: str, colour: str) -> list[tuple[float, float, float]]:
    """(x, y, width) of the bars of a colour."""
    paths = [path.get("d") for path in ElementTree.fromstring(text).iter(f"{SVG}path") if path.get("fill") == colour]
    return [tuple(map(float, bar)) for bar in re.findall(rf"M([\d.]+) ([\d.]+)h([\d.]+)v{BAR}h-[\d.]+z", *paths)]


def test_bars():
    """400 cycles in 4 lines: one bar that ends in the next line, two that touch, one of another unit."""
    found = [
        Interval(Unit.RMAC, "depthwise", 90, 110),
        Interval(Unit.RMAC, "depthwise", 200, 210),
        Interval(Unit.RMAC, "depthwise", 205, 230),
        Interval(Unit.LOAD, "depthwise", 0, 100),
    ]
    text = timeline("a <b> & c", found, 400)
    pixels = (WIDTH - LEFT - RIGHT) / 100
    load, end, begin, merged = bars(text, COLOURS["depthwise"])
    assert load[0] == LEFT and load[2] == pytest.approx(100 * pixels)
    assert end[0] == pytest.approx(LEFT + 90 * pixels) and end[2] == pytest.approx(10 * pixels)
    assert begin[0] == LEFT and begin[2] == pytest.approx(10 * pixels)
    assert merged[0] == LEFT and merged[2] == pytest.approx(30 * pixels)
    assert load[1] < end[1] < begin[1] < merged[1]  # LOAD above R-MAC, line under line
    assert bars(text, COLOURS["pointwise"]) == []
    assert next(ElementTree.fromstring(text).iter(f"{SVG}title")).text == "a <b> & c"
    assert LINES == 4


@pytest.mark.slow
def test_the_picture_in_the_documentation_is_what_the_command_makes(triovit, tmp_path):
    path = tmp_path / "run.svg"
    assert triovit("compare", "--timeline", path).status == 0
    assert path.read_text(encoding="utf-8") == (ROOT / "docs" / "pictures" / "timeline.svg").read_text(encoding="utf-8")


def test_wrong_uses(refused, photos, tmp_path):
    assert "does not go with --data" in refused("compare", "--data", photos, "--timeline", tmp_path / "x.svg")
    assert "is a folder" in refused("compare", "--timeline", tmp_path)
    assert "another argument names this file" in refused("compare", "--timeline", "x", "--json", "x")
