"""Sums of cells over modules."""

from tests.flow.silicon.netlists import lut, module, netlist
from triovit.flow.silicon.usage import Usage, usage, usage_tree


def test_cells_by_what_they_take():
    cells = {
        "LUT1": 1, "LUT6": 2, "INV": 7, "CARRY4": 5, "MUXF7": 3, "SRL16E": 3, "SRLC32E": 1, "RAM32M16": 2, "RAM64M8": 1,
        "FDRE": 10, "FDSE": 1, "DSP48E2": 4, "RAMB36E2": 2, "RAMB18E2": 3,
    }  # fmt: skip
    found = usage(cells, pairs=2)
    assert found == Usage(lut=3, pairs=2, srl=4, lut_ram=24, ff=11, dsp=4, ram36=2, ram18=3)
    assert found.cells == 3 + 4 + 24 and found.physical == 2 + 2 + 24
    assert Usage(srl=3).physical == 2
    assert usage({"LUT2": 5}).pairs == 5
    ecp5 = usage(
        {"LUT4": 5, "CCU2C": 2, "TRELLIS_FF": 3, "MULT18X18D": 1, "DP16KD": 2, "TRELLIS_DPR16X4": 1, "PFUMX": 9}
    )
    assert ecp5 == Usage(lut=9, pairs=9, lut_ram=6, ff=3, dsp=1, ram18=2)


def test_sum():
    assert Usage(1, 2, 3, 4, 5, 6, 7, 8).plus(Usage(1, 1, 1, 1, 1, 1, 1, 2), 3) == Usage(4, 5, 6, 7, 8, 9, 10, 14)
    assert Usage(lut=1).plus(Usage(lut=4)) == Usage(lut=5)


def test_tree(tmp_path):
    """Of each module one instance; the one that takes most in all its instances comes first."""
    pair = {"a": lut([2, 3], 10), "b": lut([2, 4], 11), "r": ("FDRE", {"D": [10], "Q": [12]})}
    found = usage_tree(
        netlist(
            tmp_path,
            top=module(
                cells={
                    "own": lut([2, 3, 4, 5, 6, 7], 8),
                    "x": ("leaf", {}),
                    "big0": ("big", {}),
                    "big1": ("big", {}),
                    "multiplier": ("DSP48E2", {}),
                }
            ),
            big=module(cells={"x": ("leaf", {}), "y": ("leaf", {})}),
            leaf=module(cells=pair),
        ),
        paired=True,
    )
    leaf = Usage(lut=2, pairs=1, ff=1)
    assert found.name == "top" and found.instances == 1
    assert found.own == Usage(lut=1, pairs=1, dsp=1)
    assert found.total == Usage(lut=11, pairs=6, ff=5, dsp=1)
    big, single = found.children
    assert (big.name, big.instances, big.own, big.total) == ("big", 2, Usage(), Usage(lut=4, pairs=2, ff=2))
    assert (single.name, single.instances, single.own, single.total) == ("leaf", 1, leaf, leaf)
    assert [(child.name, child.instances) for child in big.children] == [("leaf", 2)]
    report = found.report()
    assert report["total"]["lut"] == 11 and report["children"][0]["children"][0]["own"] == leaf._asdict()
    assert report["module"] == "top" and report["children"][0]["instances"] == 2


def test_tree_of_a_family_without_pairs(tmp_path):
    cells = {"a": ("LUT4", {"A": [2], "B": [3], "Z": [4]}), "b": ("LUT4", {"A": [2], "Z": [5]})}
    assert usage_tree(netlist(tmp_path, top=module(cells=cells)), paired=False).total == Usage(lut=2, pairs=2)
