from tests.console import blocks, missing

PRINTED = "simulator ready (3.1 s)\n│ a │ 1,347 │\nclass: cat\n0 of 83 tensors differ\n"


def test_missing():
    assert missing("class: cat\n0 of 83\n", PRINTED) is None
    assert missing("simulator ready (45 s)\n...\nclass: cat\n", PRINTED) is None  # seconds differ from run to run
    assert missing("│ a │\n1,347 │", PRINTED) is None
    assert missing("...\n", PRINTED) is None
    assert missing("class: dog", PRINTED) == "class: dog"
    assert missing("class: cat\n1,347", PRINTED) == "class: cat\n1,347"  # nothing stands between without "..."
    assert missing("class: cat\n...\n1,347", PRINTED) == "\n1,347"  # order counts


def test_blocks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("a\n```\nb\n```\nc\n```console\n$ d\ne\n```\n```\nf\n```\n", encoding="utf-8")
    assert blocks(page) == ["b\n", "f\n"] and blocks(page, "console") == ["$ d\ne\n"]
