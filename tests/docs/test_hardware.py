"""Measuring again what the page of results tells of the hardware, and its tables."""

import json

import pytest

from docs import hardware
from docs.tables import hardware as tables
from triovit.flow.silicon import place_and_route
from triovit.flow.silicon.usage import Usage
from triovit.hdl.config.accelerator import PRESETS


@pytest.fixture
def file(monkeypatch, tmp_path):
    monkeypatch.setenv("TRIOVIT_BUILD", str(tmp_path / "build"))
    path = tmp_path / "hardware.json"
    path.write_text('{"before": {"x": 1}, "now": {"y": 2}}')
    monkeypatch.setattr(hardware, "FILE", path)
    return path


def test_an_engine(file, monkeypatch, capsys):
    pytest.importorskip(place_and_route.MODULE, reason="needs the extra route")
    mat = "triovit.hdl.mat.engine:MATEngine"
    monkeypatch.setattr(hardware, "ENGINES", {"MAT": hardware.Engine(mat, ("2", "2"), hardware.ULTRASCALE)})
    assert hardware.main(["MAT"]) == 0
    results = json.loads(file.read_text())
    assert results["before"] == {"x": 1} and results["now"].keys() == {"y", "MAT"}
    found = results["now"]["MAT"]
    assert found["component"] == f"{mat} 2 2 --technology ultrascale"
    assert found["modules"]["module"] == "engine" and found["modules"]["total"]["dsp"] == 2
    assert found["timing"]["clock"] == 5.0 and found["timing"]["worst"] > 0.8
    assert "steps" not in found["timing"]["paths"][0]
    assert found["place_and_route"]["part"] == "ecp5-85k" and found["place_and_route"]["megahertz"] > 50
    assert found["place_and_route"]["cells"]["MULT18X18D"]["used"] > 0
    assert "measured MAT" in capsys.readouterr().err


def test_a_machine(file, monkeypatch):
    """Of a preset; modules down to the engines' parts."""

    class Emitted:
        def write(self, folder):
            (folder / "triovit.v").write_text(
                "module triovit(input clk, input d, output q); core c(.clk(clk), .d(d), .q(q)); endmodule\n"
                "module core(input clk, input d, output reg q); always @(posedge clk) q <= d; endmodule\n"
            )
            return [folder / "triovit.v"]

    asked = []
    monkeypatch.setattr(hardware, "emit_accelerator", lambda config: asked.append(config) or Emitted())
    assert hardware.main(["trio-core"]) == 0
    assert asked == [PRESETS["trio-core"]]
    found = json.loads(file.read_text())["now"]["trio-core"]
    assert found["modules"]["total"]["ff"] == 1 and found["modules"]["children"][0]["module"] == "core"


def test_unknown_name(file, capsys):
    assert hardware.main(["R-MAC", "trio-giant"]) == 2
    told = capsys.readouterr().err
    assert (
        told.startswith("docs.hardware: error: there is no trio-giant; one of R-MAC, MAT, ") and told.count("\n") == 1
    )
    assert json.loads(file.read_text())["now"] == {"y": 2}


def test_modules_down_to_a_level():
    tree = {"module": "a", "children": [{"module": "b", "children": [{"module": "c", "children": []}]}]}
    assert hardware._upper(tree, 1) == {"module": "a", "children": [{"module": "b", "children": []}]}
    assert hardware._upper(tree, 0) == {"module": "a", "children": []}


def module(name, *children, instances=1, **total):
    used = Usage(**total)._asdict()
    return {"module": name, "instances": instances, "own": used, "total": used, "children": list(children)}


@pytest.fixture
def results(monkeypatch, tmp_path):
    def machine(lut, worst):
        part = module("triovit_rmac_engine", instances=2, lut=5, dsp=3)
        path = {"delay": worst, "luts": 4, "carries": 1, "dsps": 0, "start": "a", "end": "b", "endpoints": 7}
        return {
            "modules": module(
                "triovit", module("units", module(tables.CORE, part, lut=lut)), lut=10 * lut, pairs=8 * lut
            ),
            "timing": {"worst": worst, "above": 3, "endpoints": 9, "paths": [path]},
        }

    def engine(lut):
        return {
            "modules": module("engine", lut=lut, ff=2 * lut, dsp=4),
            "timing": {"worst": lut / 10},
            "place_and_route": {"megahertz": 1000.6 / lut},
        }

    found = {
        time: {name: machine(lut, lut / 4) for name in hardware.MACHINES}
        | {name: engine(lut) for name in hardware.ENGINES}
        for time, lut in (("before", 20), ("now", 10))
    }
    path = tmp_path / "hardware.json"
    path.write_text(json.dumps(found))
    monkeypatch.setattr(tables, "FILE", path)


def rows(text):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:]]


def test_tables(results):
    machine = rows(tables.machine())
    assert machine[0][:3] == ["LUT1-LUT6", "200", "100"] and machine[1][:3] == ["of them after pairing", "160", "80"]
    assert machine[2] == ["LUTs, with those that are memory", "200", "100", "274 080", "0 %"]
    core = rows(tables.core())
    assert [row[:3] for row in core] == [
        ["a core before", "1", "20"], ["a core now", "1", "10"], ["`triovit_rmac_engine`", "2", "5"],
    ]  # fmt: skip
    assert rows(tables.timing()) == [[f"`{name}`", "5.0", "2.5", "3", "3", "9"] for name in hardware.MACHINES]
    assert rows(tables.paths()) == [["2.5", "4", "1", "0", "`a`", "`b`", "7"]]
    engines = rows(tables.engines())
    assert engines[0] == ["R-MAC", "20", "10", "40", "20", "4", "4", "2.0", "1.0", "50", "100"]
    assert len(engines) == len(hardware.ENGINES)


def test_an_engine_that_there_was_not_before(results):
    found = json.loads(tables.FILE.read_text())
    del found["before"]["MAT"]
    found["now"]["MAT"]["place_and_route"]["megahertz"] = None
    tables.FILE.write_text(json.dumps(found))
    assert rows(tables.engines())[1] == ["MAT", "", "10", "", "20", "", "4", "", "1.0", "", ""]


def test_a_machine_without_cores(results):
    found = json.loads(tables.FILE.read_text())
    found["now"]["trio-zcu102"]["modules"]["children"] = []
    tables.FILE.write_text(json.dumps(found))
    with pytest.raises(ValueError, match="holds no module triovit_core; 'make results' measures again"):
        tables.core()
