"""HTML elements and inline SVG: nothing escapes, nothing from outside, identifiers of their own."""

import re
from xml.etree import ElementTree

import numpy as np
from matplotlib.figure import Figure

from triovit.golden.report.page import (
    MOST_ROWS,
    Html,
    Section,
    figures,
    fold,
    layer_name,
    listed,
    page,
    paragraph,
    strip,
    table,
    text,
)
from triovit.golden.report.vector import FOREGROUND, inline_svg, style

NASTY = '<script>alert("x")</script> & $x$'


def draw(name):
    with style():
        figure = Figure(figsize=(3, 2))
        axes = figure.add_subplot(title=NASTY, xlabel="x")
        axes.plot([0, 1], [0, 1], color="#3b82c4", marker="o")
        axes.imshow(np.eye(3), extent=(0, 1, 0, 1))
        return inline_svg(figure, name, f"a {NASTY} plot")


def test_svg():
    svg = draw("one")
    root = ElementTree.fromstring(svg)  # well formed
    assert root.tag == "svg" and root.get("aria-label").startswith("a  script alert")
    assert NASTY in "".join(root.itertext())
    assert "http" not in svg and "<!" not in svg and "<?" not in svg
    assert FOREGROUND not in svg and "currentColor" in svg
    for reference in re.findall(r'(?:href="|url\()([^")]+)', svg):
        assert reference.startswith(("#one-", "data:image/png;base64,"))
    known = set(re.findall(r' id="([^"]+)"', svg))
    assert known and known == set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
    assert svg == draw("one")
    assert not known & set(re.findall(r' id="([^"]+)"', draw("two")))


def test_everything_is_escaped():
    section = Section(
        "s", NASTY, [paragraph(NASTY), table([(NASTY, "left")], [[NASTY]]), layer_name(NASTY, NASTY)], [NASTY]
    )
    document = page(NASTY, [section])
    assert "<script" not in document
    assert document.count("&lt;script&gt;") == 10  # two titles, link, heading, missing, p, th, td, name twice
    assert 'title="&lt;script&gt;alert(&quot;x&quot;)' in document


def test_cells():
    assert [text(1234567), text(True), text(0.5), text(Html("<b>"))] == ["1,234,567", "True", "0.5", "<b>"]
    assert "<thead>" not in table([("", "left")], [["a"]])


def test_the_rest_is_escaped_too():
    document = "".join([fold(NASTY, []), figures([(NASTY, NASTY)]), listed([[NASTY, Html("<b>")]])])
    document += strip(NASTY, [("#123456", NASTY)], [("#123456", NASTY)])
    assert "<script" not in document and document.count("<b>") == 2
    assert document.count("&lt;script&gt;") == 7  # of strip: label, cell, key


def test_only_long_tables_are_folded():
    columns, rows = [("a", "left"), ("b", "right")], [["x", 1]] * MOST_ROWS
    assert "<details>" not in table(columns, rows)
    folded = table(columns, [*rows, ["y", 2]])
    assert folded.startswith(f"<details><summary>The numbers, {MOST_ROWS + 1} rows: a, b</summary>")
    assert folded.count("<tr>") == MOST_ROWS + 2
    assert "<details>" not in table(columns, [*rows, ["y", 2]], most=None)
