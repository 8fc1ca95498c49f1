"""Shares of a part, the verdict, and tables of modules."""

import pytest

from triovit.boards.devices import BOARDS, Board, Family, Resources
from triovit.flow.errors import UsageError
from triovit.flow.silicon.sums import check_part, find_part, shares, show_part, show_sums, verdict
from triovit.flow.silicon.usage import ModuleUsage, Usage

PART = Board("board", "part", Family.XILINX, Resources(1000, 2000, 10, 4), "sheet")
SMALL = Board("board", "part", Family.ECP5, Resources(1000, 2000, 10, 4), "sheet")


def test_shares():
    needs = shares(Usage(lut=900, pairs=700, srl=60, lut_ram=8, ff=1500, dsp=10, ram36=3, ram18=1), PART)
    assert [(share.resource, share.need, share.has) for share in needs] == [
        ("LUT", 968, 1000), ("LUT paired", 738, 1000), ("FF", 1500, 2000), ("DSP", 10, 10), ("RAM", 3.5, 4),
    ]  # fmt: skip
    assert [(share.resource, share.need) for share in shares(Usage(lut=9, pairs=9, ff=1, dsp=2, ram18=3), SMALL)] == [
        ("LUT", 9), ("FF", 1), ("DSP", 2), ("RAM", 3),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("needs", "told"),
    [
        (Usage(lut=1000, pairs=1000, dsp=10, ram36=4), "fits"),
        (
            Usage(lut=1001, pairs=1000),
            "fits if LUTs are paired as estimated; without pairs LUT 1,001 of 1,000",
        ),
        (Usage(lut=1900, pairs=1001), "does not fit: LUT 1,900 of 1,000, LUT paired 1,001 of 1,000"),
        (Usage(dsp=11, ff=2001), "does not fit: FF 2,001 of 2,000, DSP 11 of 10"),
        (Usage(lut=1001, pairs=1, ram18=9), "does not fit: LUT 1,001 of 1,000, RAM 4.5 of 4"),
    ],
)
def test_verdict(needs, told, capsys):
    found = shares(needs, PART)
    assert verdict(found) == told
    show_part(found, PART)
    assert capsys.readouterr().out.endswith(f"part: {told}\n")


def test_verdict_where_luts_are_never_paired():
    assert verdict(shares(Usage(lut=1001, pairs=1), SMALL)) == "does not fit: LUT 1,001 of 1,000"


def test_parts_by_device_or_board():
    for name in ("XCZU9EG", "xczu9eg", "ZCU102"):
        assert find_part(name).device == "XCZU9EG"
    assert all(find_part(board.device).device == board.device for board in BOARDS)
    with pytest.raises(UsageError, match=r"--part must be one of XCZU9EG, .*LFE5UM5G-85F, not Virtex"):
        find_part("Virtex")


def test_parts_of_the_family():
    assert check_part(None, "generic") is None
    assert check_part("LFE5U-85F", "ecp5") is find_part("LFE5U-85F") and check_part("KV260", "xcup")
    message = r"--part KV260: must be of the family that is synthesized for \(ecp5\), not xilinx"
    with pytest.raises(UsageError, match=message):
        check_part("KV260", "ecp5")


def test_rows_down_to_a_depth(capsys):
    """Of each module one instance; children stand further in."""
    leaf = ModuleUsage(
        "leaf", 4, Usage(lut=1), Usage(lut=1, pairs=2, srl=3, lut_ram=4, ff=5, dsp=6, ram36=7, ram18=8), ()
    )
    middle = ModuleUsage("middle", 2, Usage(lut=7), Usage(lut=11), (leaf,))
    for depth, names in ((0, ["top"]), (1, ["top", "  middle"]), (2, ["top", "  middle", "    leaf"])):
        show_sums("title", ModuleUsage("top", 1, Usage(), Usage(lut=22), (middle,)), depth)
        lines = capsys.readouterr().out.splitlines()
        rows = [line.strip("│").split("│") for line in lines if line.startswith("│")]
        assert lines[0] == "title" and [row[0][1:].rstrip() for row in rows] == names
    assert [cell.strip() for cell in rows[2][1:]] == ["4", "1", "1", "2", "3", "4", "5", "6", "7", "8"]
    assert [cell.strip() for cell in rows[1][1:4]] == ["2", "7", "11"]
