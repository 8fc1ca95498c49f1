"""cocotb benches: emit a component's Verilog, build it with Verilator once, run cocotb tests on it.

    run_bench(MATEngine(8, 8), "tests.hdl.mat.bench_engine", name="mat", parameters=sizes)

The cocotb module drives top-level ports only (inner signals are not kept: that doubles the speed) and gets
`parameters` back from `bench_parameters()`. Waves: set TRIOVIT_WAVES=1; the name of the dump is printed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import find_libpython
from cocotb_tools import config

from triovit.hdl.emit.verilog import emit_verilog
from triovit.hdl.technology import GENERIC, Technology
from triovit.sim.bench.streams import INPUTS
from triovit.sim.cache import build_root, writable
from triovit.sim.processes import child
from triovit.sim.toolchain import ToolchainError
from triovit.sim.verilate import verilate

_PARAMETERS = "TRIOVIT_BENCH_PARAMETERS"


def bench_parameters() -> dict:
    """Inside a cocotb test: the parameters given to `run_bench`."""
    return json.loads(os.environ.get(_PARAMETERS, "{}"))


def build_bench(
    component, name: str, *, extra_sources=(), waves: bool = False, technology: Technology = GENERIC
) -> tuple[Path, list[str]]:
    """The cocotb executable of `component` with top module `name`, and the names of its input ports.

    It stands in build/bench/<name>/<key>; the key is over the Verilog and the tools, so a changed component gets a new
    folder, and an unchanged one is not built again. Safe with several processes. Raises `sim.toolchain.ToolchainError`
    with the end of the log, `sim.cache.BuildFolderError` when the folder cannot be written.
    """
    emitted = emit_verilog(component, name, technology=technology)
    libraries = Path(config.libs_dir)
    if fault := set(str(libraries)) & set(",;:"):  # which separate names in what cocotb and the loader are told
        raise ToolchainError(f"{libraries}: cocotb cannot be in a path with {fault}; make the environment elsewhere")
    options = ["--vpi", "--timescale", "1ns/1ps", *(["--trace"] if waves else [])]
    options += ["-LDFLAGS", "-Wl,-rpath-link,cocotb -Lcocotb -lcocotbvpi_verilator"]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        visible = f'`verilator_config\npublic_flat_rw -module "{name}" -var "*"\n'
        written = []
        texts = [(emitted.text, f"{name}.v"), (visible, f"{name}.vlt")]
        for text, file in (*texts, *((text, f"{module}.v") for module, text in emitted.extra_texts.items())):
            written.append(Path(folder) / file)
            written[-1].write_text(text, encoding="utf-8")
        program = verilate(
            [*emitted.extra_files, *extra_sources, *written],
            config.share_dir / "lib" / "verilator" / "verilator.cpp",
            top=name,
            folder=build_root() / "bench" / name,
            options=options,
            links={"cocotb": libraries},
        )
    return program, [port for port, direction, _width in emitted.ports if direction == "input"]


def run_bench(
    component, test_module: str, *, name: str, parameters=None, testcase=None, extra_sources=(),
    technology: Technology = GENERIC,
) -> list[str]:  # fmt: skip
    """Run the cocotb tests of module `test_module` on the Verilog of `component`; returns the names that passed.

    component: `amaranth.lib.wiring.Component`. test_module: importable here, because the simulator's Python gets this
    one's `sys.path` (pytest's `pythonpath` puts the folder of the tests there). name: of the top module and of the
    build folder. parameters: what JSON can hold, read by `bench_parameters()`. testcase: name (or names) of tests to
    run instead of all. extra_sources: Verilog files of instantiated modules. technology: as of `emit_verilog`. Raises
    AssertionError with the failures and the end of cocotb's log when a test failed, or when none ran.
    """
    waves = os.environ.get("TRIOVIT_WAVES", "0") not in ("", "0")
    program, inputs = build_bench(component, name, extra_sources=extra_sources, waves=waves, technology=technology)
    text = json.dumps(parameters or {}, sort_keys=True)
    with writable(program.parent):
        run = Path(tempfile.mkdtemp(prefix="run-", dir=program.parent))
    log, results = run / "cocotb.log", run / "results.xml"
    variables = {
        _PARAMETERS: text,
        INPUTS: " ".join(inputs),
        "COCOTB_TOPLEVEL": name,
        "COCOTB_TEST_MODULES": test_module,
        "COCOTB_TEST_FILTER": _filter(testcase),
        "COCOTB_RESULTS_FILE": str(results),
        "COCOTB_RANDOM_SEED": "1",
        "COCOTB_ANSI_OUTPUT": "0",
        "COCOTB_TRUST_INERTIAL_WRITES": "1",  # of Verilator, as cocotb's own runner has it
    }
    command = [program, *(["--trace"] if waves else [])]
    with (
        log.open("wb") as output,
        child(command, cwd=run, env=_environment() | variables, stdout=output, stderr=output) as process,
    ):
        process.wait()  # the results tell how it went
    passed, failed = _read_results(results)
    if failed or not passed:
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-40:])
        what = f"failed: {', '.join(failed)}\n{next(iter(failed.values()))}" if failed else "no test ran"
        raise AssertionError(f"bench {name} ({test_module}): {what}\nrun folder: {run}\n{tail}")
    if waves:
        print(f"waves: {run / 'dump.vcd'}")
    else:
        shutil.rmtree(run, ignore_errors=True)
    return passed


def _filter(testcase) -> str:
    """Regular expression of the names of tests that are run; empty for all."""
    names = [testcase] if isinstance(testcase, str) else list(testcase or ())
    return rf"\.({'|'.join(map(re.escape, names))})$" if names else ""


def _environment() -> dict[str, str]:
    """How the simulator finds cocotb, and Python finds what is importable here."""
    python = find_libpython.find_libpython()
    if python is None:
        raise ToolchainError("cocotb needs a shared library of Python (libpython), which is not there")
    libraries = [str(config.libs_dir), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
    return os.environ | {
        "GPI_USERS": f"{python};{config.pygpi_entry_point()}",
        "LD_LIBRARY_PATH": os.pathsep.join(libraries),
        "PYGPI_PYTHON_BIN": sys.executable,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "TOPLEVEL_LANG": "verilog",
    }


def _read_results(path: Path) -> tuple[list[str], dict[str, str]]:
    """Names of the tests that passed, and name -> traceback of those that failed."""
    passed, failed = [], {}
    if path.exists():
        for case in ElementTree.parse(path).iter("testcase"):
            faults = [fault for kind in ("failure", "error") for fault in case.iter(kind)]
            if faults:
                failed[case.get("name")] = (faults[0].text or faults[0].get("message") or "").strip()
            elif case.find("skipped") is None:
                passed.append(case.get("name"))
    return passed, failed
