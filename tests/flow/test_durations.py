"""Durations are told when they were measured here, and are no reason to fail."""

import pytest

from triovit.flow.durations import earlier, record


@pytest.fixture
def builds(tmp_path, monkeypatch):
    monkeypatch.setenv("TRIOVIT_BUILD", str(tmp_path / "builds"))
    return tmp_path / "builds"


def test_the_last_of_its_kind_is_told(builds):
    assert earlier("synthesis for xilinx") == ""
    for kilobytes, seconds in ((1, 2), (1978, 725.3)):
        record("synthesis for xilinx", kilobytes, seconds)
    record("synthesis for ecp5", 3, 4)
    assert earlier("synthesis for xilinx") == "; the last one here took 12:05 for 1,978 kB"
    assert [path.name for path in builds.iterdir()] == ["durations.json"]


@pytest.mark.parametrize("text", ["{", "[]", '{"synthesis": {"seconds": 1}}', '{"synthesis": 1}'])
def test_a_file_of_another_hand_is_written_anew(builds, text):
    builds.mkdir()
    (builds / "durations.json").write_text(text)
    assert earlier("synthesis") == ""
    record("synthesis", 1, 2)
    assert "0:02" in earlier("synthesis")


def test_a_folder_that_cannot_be_written_is_no_error(builds):
    builds.write_text("a file")
    record("synthesis", 1, 2)
    assert earlier("synthesis") == ""
