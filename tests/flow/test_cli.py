"""The command line as a whole: help, version, exit statuses, errors that must be seen."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from triovit.flow import cli, doctor

ROOT = Path(__file__).resolve().parents[2]


def test_help_lists_every_command(triovit):
    outcome = triovit("--help", report=False)
    assert outcome.status == 0
    for name, summary in cli.COMMANDS.items():
        assert re.search(rf"^ +{name}\s+{re.escape(summary.split(';')[0])}", outcome.out, re.M), name


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_of_a_command_has_an_example(triovit, command):
    outcome = triovit(command, "--help", report=False)
    assert outcome.status == 0
    assert re.search(rf"^  triovit {command}\b", outcome.out, re.M)
    assert "--json FILE" in outcome.out


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_option_is_explained(command):
    for action in cli.parser_of(command)._actions:
        assert action.help, action.dest


@pytest.mark.parametrize(
    "words",
    [
        "compile --config compare bundled",
        "run -h --version",
        "run - -5 --top=3 -- x",
        "compile b0 -o run --json doctor",
        "run --jso x --help",
    ],
)
def test_what_follows_the_command_is_the_command_s(words):
    """Also other commands' names, options of the whole command line, and what looks like them."""
    command, *rest = words.split()
    named, left = cli.command_line().parse_known_args(words.split())
    assert named.command == command and left == rest


def test_version(triovit):
    outcome = triovit("--version", report=False)
    with (ROOT / "pyproject.toml").open("rb") as file:
        version = tomllib.load(file)["project"]["version"]
    assert outcome.status == 0
    assert outcome.out in (f"triovit {version}\n", "triovit (not installed)\n")


@pytest.mark.parametrize("words", ["", "frobnicate", "--frobnicate", "doctor --frobnicate", "doctor more"])
def test_wrong_words_give_one_line(triovit, words):
    outcome = triovit(*words.split(), report=False)
    assert outcome.status == 2 and outcome.out == ""
    assert re.fullmatch(r"triovit( doctor)?: error: .*--help'\n", outcome.err)


def raising(error):
    def execute(options):
        raise error

    return execute


def test_a_fault_of_the_program_keeps_its_traceback(triovit, monkeypatch):
    monkeypatch.setattr(doctor, "execute", raising(ZeroDivisionError("a fault")))
    with pytest.raises(ZeroDivisionError):
        triovit("doctor")


def test_a_missing_package_comes_with_its_remedy(refused, monkeypatch):
    monkeypatch.setattr(doctor, "execute", raising(ModuleNotFoundError("No module named 'torch'", name="torch")))
    assert refused("doctor") == "this needs PyTorch, which is not installed: pip install 'triovit[quantize]'\n"
    monkeypatch.setattr(doctor, "execute", raising(ModuleNotFoundError("No module named 'amaranth'", name="amaranth")))
    assert refused("doctor") == "No module named 'amaranth'; 'triovit doctor' lists what is missing\n"


def test_a_failing_tool_names_its_log_only(refused, monkeypatch):
    from triovit.sim.toolchain import ToolchainError

    error = ToolchainError("verilator failed with code 1 (full log: build.log)\nline 1\nline 2")
    monkeypatch.setattr(doctor, "execute", raising(error))
    assert refused("doctor") == "verilator failed with code 1 (full log: build.log)\n"


def test_a_machine_that_stops_is_a_failed_check(triovit, monkeypatch):
    from triovit.sim.rtl.machine import MachineError

    monkeypatch.setattr(doctor, "execute", raising(MachineError("stopped with ILLEGAL at instruction 7")))
    outcome = triovit("doctor")
    assert outcome.status == 1
    assert outcome.err == "triovit doctor: error: stopped with ILLEGAL at instruction 7\n"


def test_interrupt(triovit, monkeypatch):
    monkeypatch.setattr(doctor, "execute", raising(KeyboardInterrupt()))
    outcome = triovit("doctor")
    assert outcome.status == 130 and outcome.err == "triovit doctor: interrupted\n"


def test_json_that_cannot_be_written_is_told_before_the_work(refused, monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "execute", raising(AssertionError("work was begun")))
    for path, fault in ((tmp_path / "none" / "r.json", "there is no folder"), (tmp_path, "is a folder")):
        assert fault in refused("doctor", "--json", path)


def test_a_reader_that_goes_away_is_no_error(tmp_path):
    command = f"{sys.executable} -m triovit.flow.cli doctor --json {tmp_path}/r.json | true; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=ROOT)
    assert result.stderr == ""
