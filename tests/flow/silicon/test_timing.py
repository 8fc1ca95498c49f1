"""What is printed and reported of timing."""

import pytest

from tests.flow.silicon.netlists import netlist, register
from tests.flow.silicon.test_paths import chain, module, ns
from triovit.flow.errors import UsageError
from triovit.flow.silicon.delays import Stage
from triovit.flow.silicon.paths import PathFamily, Step
from triovit.flow.silicon.timing import _levels, analyze, show_timing


@pytest.fixture
def found(tmp_path):
    cells = chain(3) | {"launch": register("0", 10), "capture": register(13, 20), "also": register(10, 21)}
    cells |= {"x": ("part", {"d": [13]})}
    part = module({"d": [2]}, cells={"r": register(2, 3)}, kept=[3])
    return analyze(netlist(tmp_path, top=module(cells=cells, first=[11]), part=part), "xcup", 1.0, 2)


def test_report(found):
    report = found.report()
    assert report["clock"] == 1.0 and report["worst"] == round(ns(3), 3)
    assert (report["endpoints"], report["above"]) == (3, 2)
    assert report["slacks"] == [{"from": -1.0, "endpoints": 2}, {"from": 0.5, "endpoints": 1}]
    assert len(report["paths"]) == 2 and report["delays"]["lut"] == 0.10
    path = report["paths"][0]
    assert {key: path[key] for key in ("start", "pin", "endpoints", "luts", "carries", "dsps")} == {
        "start": "launch", "pin": "D", "endpoints": 1, "luts": 3, "carries": 0, "dsps": 0,
    }  # fmt: skip
    assert {each["end"] for each in report["paths"]} == {"capture", "x.kept"}
    assert path["steps"][0] == {"net": "first", "arrival": 0.53, "stage": "lut", "in": ""}


def test_what_is_printed(found, capsys):
    show_timing(found)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "longest path 1.81 ns; 2 of 3 endpoints above 1 ns (model before placement: LUT 0.1 ns, net 0.35 ns)"
    )
    assert lines[1] == "  1.81 ns  3 LUTs; 1 endpoint" and lines[2].strip().startswith("launch -> ")
    assert lines[-2:] == [f"  -1.0 ns         2 {'#' * 40}", f"   0.5 ns         1 {'#' * 20}"]


@pytest.mark.parametrize(
    ("stages", "told"),
    [
        ("LLL", "3 LUTs"),
        ("LCD", "1 LUT, 1 carry, 1 DSP"),
        ("CCDD", "2 carries, 2 DSPs"),
        ("W", "no logic"),
    ],
)
def test_levels(stages, told):
    kinds = {"L": Stage.LUT, "C": Stage.CARRY, "D": Stage.DSP, "W": Stage.WIRE}
    assert _levels(PathFamily(1, "", "", "", 1, tuple(Step("", 0, kinds[stage], "") for stage in stages))) == told


def test_places_on_the_way(capsys, found):
    """The first six, and how many more; one place alone is no way."""
    import dataclasses

    for count, told in ((1, ""), (2, "through p0, p1"), (8, "through p0, p1, p2, p3, p4, p5 and 2 more")):
        steps = tuple(Step("", 0, Stage.LUT, f"p{k}") for k in range(count))
        path = PathFamily(1.0, "a", "b", "", 1, steps)
        show_timing(dataclasses.replace(found, families=[path]))
        lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
        assert "a -> b" in lines
        assert [line for line in lines if line.startswith("through")] == [told] * bool(told)


def test_families_without_a_model(tmp_path):
    with pytest.raises(UsageError, match="the timing model must be for one of xcup, not ecp5"):
        analyze(netlist(tmp_path, top=module()), "ecp5", 5.0, 1)
