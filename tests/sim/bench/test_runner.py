"""The bench finds what it should: a right component passes, and each way of breaking it fails."""

import pytest

from tests.sim.bench.sum_stage import FAULTS, SumStage
from triovit.sim.bench import run_bench, runner
from triovit.sim.toolchain import ToolchainError

MODULE = "tests.sim.bench.bench_streams"


def test_right_component_passes():
    passed = run_bench(SumStage(), MODULE, name="sum_stage", parameters={"count": 300})
    assert len(passed) == 10


@pytest.mark.parametrize("fault", FAULTS)
def test_broken_component_fails(fault):
    with pytest.raises(AssertionError, match=r"bench sum_stage .* failed: sums_come_out") as error:
        run_bench(SumStage(), MODULE, name="sum_stage", parameters={"count": 300, "fault": FAULTS[fault]})
    message = str(error.value)
    assert "Traceback" in message and "run folder:" in message and "FAIL" in message
    rule = {"withdrawn": "valid withdrawn", "unstable": "payload changed"}.get(fault)
    assert rule is None or rule in message


def test_one_testcase_can_be_chosen():
    name = "finite_pattern_stalls_as_written"
    assert run_bench(SumStage(), MODULE, name="sum_stage", testcase=name) == [name]


def test_no_test_is_a_failure():
    with pytest.raises(AssertionError, match="no test ran"):
        run_bench(SumStage(), MODULE, name="sum_stage", testcase="no_such_test")
    with pytest.raises(AssertionError, match="no test ran"):
        run_bench(SumStage(), "tests.sim.no_such_module", name="sum_stage")


def test_failed_build_shows_its_log(tmp_path):
    broken = tmp_path / "broken.v"
    broken.write_text("module broken(input a;\nendmodule\n")
    with pytest.raises(ToolchainError, match=r"broken\.v:1"):
        run_bench(SumStage(), MODULE, name="sum_stage", extra_sources=[broken])


def test_build_folder_of_any_name(tmp_path, monkeypatch):
    folder = tmp_path / "build 'folder' \"ä\" $HOME #1 %s;&(x)"
    monkeypatch.setattr(runner, "build_root", lambda: folder)
    name = "finite_pattern_stalls_as_written"
    assert run_bench(SumStage(), MODULE, name="sum_stage", testcase=name) == [name]
    assert list(folder.rglob("sum_stage"))


def test_the_environment_is_as_before(monkeypatch):
    """Neither what the simulator is told is left here, nor does what stands here change what it is told."""
    monkeypatch.setenv("COCOTB_TEST_FILTER", "nothing")
    monkeypatch.setenv("WAVES", "1")
    before = dict(runner.os.environ)
    name = "finite_pattern_stalls_as_written"
    assert run_bench(SumStage(), MODULE, name="sum_stage", testcase=name) == [name]
    assert dict(runner.os.environ) == before


def test_a_path_that_cocotb_cannot_be_in_is_refused_at_once(monkeypatch, tmp_path):
    monkeypatch.setattr(runner.config, "libs_dir", tmp_path / "a;b")
    with pytest.raises(ToolchainError, match=r"a;b: cocotb cannot be in a path with .*;.*make the environment"):
        run_bench(SumStage(), MODULE, name="sum_stage")
