"""Tables at the widths of terminals, in pipes, and on terminals that know few characters."""

import io
import os
import pty
import re
import subprocess
import sys

import pytest
from rich.cells import cell_len
from rich.console import Console

from triovit.compiler.compile import compile_network
from triovit.flow.layer_table import COLUMNS, LayerRow
from triovit.flow.networks import find_network
from triovit.flow.tables import fit, shorten
from triovit.golden.integer.names import short_names
from triovit.hdl.config.accelerator import PRESETS

LONG = "backbone.stages.2.op_list.1.local_module.main.inverted_conv"


def printed(columns, rows, width, encoding="utf-8"):
    """Lines of a table on a terminal."""
    table, note = fit(columns, rows, width, "..")
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    console = Console(file=stream, width=width or 1000, force_terminal=True, no_color=True, color_system=None)
    console.print(table)
    stream.seek(0)
    return [line for line in stream.read().splitlines() if line.strip()], note


@pytest.fixture(scope="module", params=["bundled", "b2-r224"])
def layer_cells(request):
    """The rows that compare prints of a network, with cycles as wide as they come; the last layer differs."""
    network = find_network(request.param)
    names, macs, shapes = short_names(network.shapes()), network.macs(), network.shapes()
    rows = [
        LayerRow(
            node.name,
            node.label,
            "x".join(map(str, shapes[node.name])),
            macs[node.name],
            1_234_567,
            100.0,
            None,
            node is not network.nodes[-1],
        )
        for node in network.nodes
    ]
    return [row.cells(names) for row in rows]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("width", [200, 120, 100, 80, 60, 40])
def test_every_layer_is_one_line_and_tells_whether_it_matches(layer_cells, width, encoding):
    lines, note = printed(COLUMNS, layer_cells, width, encoding)
    assert all(cell_len(line) <= width for line in lines)
    if encoding == "utf-8":
        assert len(lines) - len(layer_cells) in (2, 4)  # headings, with a frame or a rule
    body = [line for line in lines if re.search(r"\b(yes|NO)\b", line)]
    assert len(body) == len(layer_cells) and "NO" in body[-1]
    assert all("1,234,567" in line for line in body)
    assert any("match" in line for line in lines) and any("cycles" in line for line in lines)
    for name, _, _, macs, *_ in layer_cells:
        if width >= 60:
            assert any(name in line for line in body)
        if width >= 80:
            assert any(f"{macs:,}" in line for line in body)
    assert all(("utilization" in line) == (width >= 60) for line in lines if "cycles" in line)
    left_out = [name for name in ("operation", "output", "MACs", "utilization") if name in note]
    assert left_out == [column[0] for column in COLUMNS if not any(column[0] in line for line in lines)]


def test_the_frame_stays_where_it_fits():
    columns = [("layer", "left"), ("number of cycles", "right")]
    widest = len("│ some.layer │ number of cycles │")
    framed, _ = printed(columns, [["some.layer", 1234567]], widest)
    assert framed[3] == "│ some.layer │        1,234,567 │"
    narrow, note = printed(columns, [["some.layer", 1234567]], widest - 1)
    assert [line.rstrip() for line in narrow[:3]] == [
        "              number",
        "                  of",
        "layer         cycles",
    ]
    assert narrow[-1] == "some.layer 1,234,567" and note == ""


def test_columns_are_left_out_in_their_order_and_are_named():
    columns = [("layer", "left"), ("first", "right", 1), ("kept", "right"), ("second", "right", 2)]
    row = ["a" * 20, 11111, 22222, 33333]
    for width, heading, left_out in ((41, "layer first kept second", []), (40, "layer kept second", ["first"])):
        lines, note = printed(columns, [row], width)
        assert lines[0].split() == heading.split()
        assert note == ("" if not left_out else "left out at 40 columns: first (a wider terminal and --json have them)")
    lines, note = printed(columns, [row], 20)
    assert lines[-1].split() == ["aaaaaa..aaaaa", "22,222"] and "first, second" in note


def test_a_pipe_gets_whole_lines():
    lines, note = printed([("layer", "left"), ("x", "right", 0)], [["y" * 500, 7]], None)
    assert len(lines) == 5 and "y" * 500 in lines[3] and note == ""


def test_shorten():
    assert shorten("stages.2.1.qkv", 14, "…") == "stages.2.1.qkv"
    assert shorten("stages.2.1.qkv", 9, "…") == "stag….qkv"
    assert shorten("stages.2.1.qkv", 8, "..") == "sta..qkv"
    assert shorten("猫猫猫猫猫", 9, "…") == "猫猫…猫猫" and cell_len(shorten("猫猫猫猫猫", 8, "…")) <= 8


def test_a_row_is_a_line_whatever_is_in_it():
    lines, _ = printed([("image", "left")], [["a\nb\r\x1b[2Jc\x85\u2028\udce9"]], 80)
    assert len(lines) == 5 and lines[3] == "│ a\ufffdb\ufffd\ufffd[2Jc\ufffd\ufffd\ufffd │"


def on_a_terminal(columns, *words, **environment):
    """What a command prints on a terminal of so many columns, without its colours; (text, exit status)."""
    main, other = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": str(columns), "NO_COLOR": "1", **environment}
    command = [sys.executable, "-m", "triovit.flow.cli", *map(str, words)]
    with subprocess.Popen(command, stdin=other, stdout=other, stderr=subprocess.PIPE, env=environment) as process:
        os.close(other)
        text = b""
        while True:
            try:
                text += os.read(main, 65536)
            except OSError:  # the other end is closed
                break
    os.close(main)
    return text.decode("utf-8").replace("\x1b[1m", "").replace("\x1b[0m", "").replace("\r\n", "\n"), process.returncode


def test_compile_at_80_columns():
    """The whole way: every layer of the bundled network is one line, with its short name."""
    text, status = on_a_terminal(80, "compile", "bundled")
    assert status == 0
    network = find_network("bundled")
    names = short_names(compile_network(network, PRESETS["trio-core"]).layers)
    lines = text.splitlines()
    for name in names.values():
        (line,) = [line for line in lines if line.startswith(f"{name} ")]
        assert len(line) <= 80
    assert "left out at 80 columns: instructions (a wider terminal and --json have them)" in lines


def test_doctor_at_80_columns():
    text, _ = on_a_terminal(80, "doctor")
    table = [line for line in text.splitlines() if line.startswith("│")]
    assert len(table) > 20 and all(len(line) <= 80 and line.endswith("│") for line in table)
