"""The list of pages is complete, and pictures are there."""

import re

import pytest

from docs.tables.regions import ROOT, pages


def test_every_page_is_listed():
    listed = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    missing = {page.name for page in (ROOT / "docs").glob("*.md") if f"({page.name})" not in listed}
    assert missing == {"README.md"}


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_pictures_of_tables(page):
    """`<img>`, which Markdown's own links are not."""
    for source in re.findall(r'<img[^>]* src="([^"]+)"', page.read_text(encoding="utf-8")):
        assert (page.parent / source).is_file(), source


def test_every_picture_is_shown():
    text = "".join(page.read_text(encoding="utf-8") for page in pages())
    for picture in (ROOT / "docs" / "pictures").iterdir():
        assert f"pictures/{picture.name}" in text, picture.name
