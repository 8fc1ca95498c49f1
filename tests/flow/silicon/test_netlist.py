"""Reading netlists of Yosys."""

import pytest

from tests.flow.silicon.netlists import lut, module, netlist, register, write
from triovit.flow.errors import UsageError
from triovit.flow.silicon.netlist import Cell, read_netlist


def test_modules_cells_and_names(tmp_path):
    found = netlist(
        tmp_path,
        top=module(
            {"clk": [2], "d": [3, 4]},
            {"q": [9]},
            {"r": register(3, 9), "l": lut([3, "1"], 7), "part": ("below", {"i": [7]})},
            long_alias=[9],
            hidden=[7],
            wide=["0", 8, 3],
            **{"$made": [7]},
        ),
        below=module({"i": [12]}),
        LUT2=module() | {"attributes": {"blackbox": "00000000000000000000000000000001"}},
        FDRE=module() | {"attributes": {"whitebox": 1}},
    )
    assert found.modules.keys() == {"top", "below"}
    top = found.modules["top"]
    assert [cell.name for cell in top.cells] == ["r", "l"] and [cell.kind for cell in top.cells] == ["FDRE", "LUT2"]
    assert [(cell.name, cell.kind, cell.pins) for cell in top.instances] == [("part", "below", {"i": (7,)})]
    assert top.names == {2: "clk", 3: "d[0]", 4: "d[1]", 8: "wide[1]", 9: "q"}
    assert [(port.name, port.is_input, port.bits) for port in top.ports] == [
        ("clk", True, (2,)), ("d", True, (3, 4)), ("q", False, (9,)),
    ]  # fmt: skip
    assert top.size == 10 and found.modules["below"].size == 13
    assert netlist(tmp_path, top=module()).modules["top"].size == 1
    assert top.cells[1].bits("I1") == ("1",) and top.cells[1].bits("I5") == ()
    assert top.name_of((7, "0", 9), top.cells[0]) == "q"
    assert top.name_of((7,), top.cells[0]) == "r"
    assert top.name_of((7,), Cell("$abc$1", "LUT2", {}, {})) == "LUT2"


def test_names_begin_where_the_verilog_has_them_begin(tmp_path):
    described = module(cells={}, word=[5, 6])
    described["netnames"]["word"]["offset"] = 8
    assert netlist(tmp_path, top=described).modules["top"].names == {5: "word[8]", 6: "word[9]"}


def test_modules_made_for_parameters_are_told_by_them(tmp_path):
    name = r"$paramod$0f\ram"
    values = {"WIDTH": "0001000", "DEPTH": "100", "STYLE": "auto"}
    made = module() | {"parameter_default_values": values, "attributes": {"hdlname": "ram"}}
    found = netlist(tmp_path, top=module(cells={"x": (name, {})}), **{name: made})
    assert found.modules[name].label == "ram DEPTH=4 WIDTH=8" and found.modules["top"].label == "top"
    made = module() | {"parameter_default_values": {}}
    assert netlist(tmp_path, top=module(), **{name: made}).modules[name].label == name


def test_children_before_their_parents(tmp_path):
    found = netlist(
        tmp_path,
        other=module(),
        top=module(cells={"a": ("left", {}), "b": ("leaf", {}), "c": ("left", {})}),
        left=module(cells={"x": ("leaf", {})}),
        leaf=module(),
    )
    assert [each.name for each in found.below()] == ["leaf", "left", "top"]


def test_parameters():
    cell = Cell("x", "DSP48E2", {}, {"AREG": "00000000000000000000000000000010", "BREG": "0"})
    assert (cell.value("AREG", 1), cell.value("BREG", 1), cell.value("CREG", 1), cell.value("DREG")) == (2, 0, 1, 0)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"modules": {"top": {}}}', '{"modules": []}'])
def test_files_that_are_no_netlists(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"x\.json: must be a netlist of Yosys' write_json"):
        read_netlist(path, "top")


def test_missing_top(tmp_path):
    with pytest.raises(UsageError, match="a netlist must hold its top module: other is not among top, part"):
        read_netlist(write(tmp_path, top=module(), part=module()), "other")
