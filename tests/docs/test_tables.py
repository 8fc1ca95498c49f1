"""Tables of the pages are what the code says."""

import pytest

from docs.tables.contents import CONTENTS
from docs.tables.markdown import table
from docs.tables.regions import ROOT, filled, pages, regions

REGIONS = [
    pytest.param(page, region, id=f"{page.relative_to(ROOT)}: {region.name}")
    for page in pages()
    for region in regions(page.read_text(encoding="utf-8"))
]
PAGE = "# Title\n\n<!-- generated: a -->\nold\n<!-- end -->\n\nText\n\n<!-- generated: b -->\n<!-- end -->\n"


@pytest.mark.parametrize(("page", "region"), REGIONS)
def test_page_is_up_to_date(page, region):
    text = page.read_text(encoding="utf-8")[region.begin : region.end]
    assert region.name in CONTENTS, "no such table in docs/tables/contents.py"
    assert text == CONTENTS[region.name](), "write the tables again with 'make docs'"


def test_every_table_is_shown():
    assert {param.values[1].name for param in REGIONS} == set(CONTENTS)


def test_regions_are_filled():
    contents = {"a": lambda: "1\n2\n", "b": lambda: "3\n"}
    new = filled(PAGE, contents)
    assert new == PAGE.replace("old\n", "1\n2\n").replace("b -->\n", "b -->\n3\n")
    assert filled(new, contents) == new


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PAGE.replace("<!-- end -->\n", "", 1), "the region 'a' has no line '<!-- end -->'"),
        (PAGE.removesuffix("<!-- end -->\n"), "the region 'b' has no line '<!-- end -->'"),
        (PAGE.replace(": b", ": c"), "there is no table 'c' in docs/tables/contents.py"),
    ],
)
def test_wrong_regions(text, message):
    with pytest.raises(ValueError, match=message):
        filled(text, {"a": str, "b": str})


def test_table():
    assert table(("name", "size:"), [("x|y", 65536), ("z", 2.5)]) == (
        "| name | size |\n|---|---:|\n| x\\|y | 65 536 |\n| z | 2.5 |\n"
    )
    with pytest.raises(ValueError, match="a row has 1 cells, the table 2 columns"):
        table(("name", "size"), [("x",)])
