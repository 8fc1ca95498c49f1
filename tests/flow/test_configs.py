"""`triovit configs`."""

import json

import pytest

from triovit.boards.devices import BOARDS
from triovit.hdl.config.accelerator import PRESETS


def test_presets(triovit):
    outcome = triovit("configs")
    assert outcome.status == 0
    found = {config["name"]: config for config in outcome.report["configurations"]}
    assert list(found) == list(PRESETS)
    core = found["trio-core"]
    assert core["multipliers"] == 128 and core["hash"] == f"{PRESETS['trio-core'].hash:016x}"
    assert core["cells"]["xilinx"]["dsp"] == 112 and core["cells"]["xilinx"]["ram"] == 96
    assert core["cells"].keys() == {"xilinx"} and found["trio-tiny"]["cells"].keys() == {"xilinx", "ecp5"}
    assert core["boards"].keys() == {board.name for board in BOARDS}
    assert core["boards"]["ZCU102"]["fits"] and found["trio-zcu102"]["boards"]["ZCU102"]["fits"]
    assert found["trio-zcu104"]["boards"]["ZCU104"]["fits"] and not found["trio-zcu102"]["boards"]["ZCU104"]["fits"]
    assert core["boards"]["ULX3S"] == {
        "device": "LFE5U-85F",
        "fits": False,
        "scarcest": "DSP48E2",
        "share": None,
    }
    for name in (*PRESETS, *(board.name for board in BOARDS)):
        assert name in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 80


def test_own_files_and_many(triovit, tmp_path):
    """More configurations than a table has columns; a file without a name has the file's."""
    for name in ("one", "two"):
        (tmp_path / f"{name}.json").write_text(json.dumps({"cores": 2}))
    outcome = triovit("configs", "trio-tiny", "trio-core", tmp_path / "one.json", tmp_path / "two.json")
    names = [config["name"] for config in outcome.report["configurations"]]
    assert outcome.status == 0 and names == ["trio-tiny", "trio-core", "one", "two"]
    assert outcome.out.count("multipliers") == 2
    assert outcome.report["configurations"][2]["cells"]["xilinx"]["dsp"] == 2 * 176


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nothing"], "unknown configuration 'nothing'; presets: trio-core"),
        (["trio-core", "wrong.json"], "wrong.json: cores must be 1..64, not 65"),
    ],
)
def test_wrong_configurations(triovit, tmp_path, monkeypatch, words, told):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.json").write_text('{"cores": 65}')
    outcome = triovit("configs", *words)
    assert outcome.status == 2 and outcome.out == "" and outcome.report is None
    assert outcome.err.count("\n") == 1 and told in outcome.err and "--config" not in outcome.err
