"""cocotb benches: emit a component's Verilog, build it with Verilator once, run cocotb tests on it.

    run_bench(RMac(...), "tests.hdl.rmac.bench_cell", name="rmac_cell", parameters={"lanes": 8})

The cocotb module drives top-level ports only (inner signals are not kept: that doubles the speed) and gets
`parameters` back from `bench_parameters()`. Waves: set TRIOVIT_WAVES=1; the name of the dump is printed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from unittest import mock

from cocotb_tools import config
from cocotb_tools.runner import get_runner

from triovit.golden.files import whole_file
from triovit.hdl.emit.verilog import emit_verilog
from triovit.sim import toolchain
from triovit.sim.bench.streams import INPUTS

_PARAMETERS = "TRIOVIT_BENCH_PARAMETERS"


def bench_parameters() -> dict:
    """Inside a cocotb test: the parameters given to `run_bench`."""
    return json.loads(os.environ.get(_PARAMETERS, "{}"))


def build_bench(component, name: str, *, extra_sources=(), waves: bool = False) -> tuple[Path, list[str]]:
    """Folder of the cocotb executable of `component` with top module `name`, and the names of its input ports.

    The folder is build/bench/<name>/<key>; the key is over the Verilog, so a changed component gets a new folder, and
    an unchanged one is not built again. Safe with several processes. Raises `sim.toolchain.ToolchainError` with the
    end of the log.
    """
    emitted = emit_verilog(component, name)
    sources = [Path(source) for source in (*emitted.extra_files, *extra_sources)]
    parent = toolchain.build_root() / "bench" / name
    parent.mkdir(parents=True, exist_ok=True)
    visible = f'`verilator_config\npublic_flat_rw -module "{name}" -var "*"\n'
    for text, suffix in ((emitted.text, ".v"), (visible, ".vlt")):
        path = parent / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}{suffix}"
        with toolchain.locked(path.with_suffix(".lock")):
            if not path.exists():
                with whole_file(path) as partial:
                    partial.write_text(text, encoding="utf-8")
        sources.append(path)
    libraries = config.libs_dir
    options = ["--vpi", "--timescale", "1ns/1ps", *(["--trace"] if waves else [])]
    options += ["-LDFLAGS", f"-Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator"]
    main = config.share_dir / "lib" / "verilator" / "verilator.cpp"
    program = toolchain.verilate(sources, main, top=name, folder=parent, options=options)
    return program.parent, [port for port, direction, _width in emitted.ports if direction == "input"]


def run_bench(component, test_module: str, *, name: str, parameters=None, testcase=None, extra_sources=()) -> list[str]:
    """Run the cocotb tests of module `test_module` on the Verilog of `component`; returns the names that passed.

    component: `amaranth.lib.wiring.Component`. test_module: importable here, because the simulator's Python gets this
    one's `sys.path` (pytest's `pythonpath` puts the folder of the tests there). name: of the top module and of the
    build folder. parameters: what JSON can hold, read by `bench_parameters()`. testcase: name (or names) of tests to
    run instead of all. extra_sources: Verilog files of instantiated modules. Raises AssertionError with the failures
    and the end of cocotb's log when a test failed, or when none ran.
    """
    waves = os.environ.get("TRIOVIT_WAVES", "0") not in ("", "0")
    folder, inputs = build_bench(component, name, extra_sources=extra_sources, waves=waves)
    text = json.dumps(parameters or {}, sort_keys=True)
    run_key = hashlib.sha256(f"{test_module} {testcase} {text} {os.getpid()}".encode()).hexdigest()[:8]
    run = folder / f"run-{run_key}"
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir()
    log, results = run / "cocotb.log", run / "results.xml"
    environment = {
        _PARAMETERS: text,
        INPUTS: " ".join(inputs),
        "COCOTB_RANDOM_SEED": "1",
        "COCOTB_ANSI_OUTPUT": "0",
        "WAVES": str(int(waves)),
    }
    runner = get_runner("verilator")
    # A failed run raises SystemExit under pytest only, so its results file decides.
    with (
        mock.patch.dict(os.environ, toolchain.environment() | environment),
        contextlib.suppress(SystemExit, RuntimeError),
    ):
        runner.test(
            test_module=test_module,
            hdl_toplevel=name,
            hdl_toplevel_lang="verilog",
            build_dir=folder,
            test_dir=run,
            testcase=testcase,
            results_xml=str(results),
            extra_env=environment,
            waves=waves,
            log_file=log,
        )
    passed, failed = _read_results(results)
    if failed or not passed:
        told = log.read_text(encoding="utf-8", errors="replace") if log.exists() else "(no log)"
        tail = "\n".join(told.splitlines()[-40:])
        what = f"failed: {', '.join(failed)}\n{next(iter(failed.values()))}" if failed else "no test ran"
        raise AssertionError(f"bench {name} ({test_module}): {what}\nrun folder: {run}\n{tail}")
    if waves:
        print(f"waves: {run / 'dump.vcd'}")
    else:
        shutil.rmtree(run, ignore_errors=True)
    return passed


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
