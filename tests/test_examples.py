"""Every script of examples/ runs as a user runs it, in an empty environment, and tells what it promises."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.console import blocks, missing

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = ("torch", "distributed", "dask", "cloudpickle", "matplotlib", "pytest", "cocotbext")
MOST_LINES = 120

PAGE = "layer_step_by_step.py"  # what it prints is a page of the documentation
# Script -> whether it needs the extra `quantize`, files that it leaves, and what it prints.
EXAMPLES = {
    "compare_on_rtl.py": (
        False,
        (),
        [r": [\d,]+ cycles, 0 of 83 tensors differ"] * 3 + [r"class: cat"],
    ),
    "own_configuration.py": (
        False,
        ("triovit.v", "ram.v", "triovit.json"),
        [
            r"refused: feature_bytes must be a multiple of 64",
            r"refused: head\.op_list\.2\.norm: needs",
            r"rmac_array: 1",
        ],
    ),
    "quantize_and_measure.py": (
        True,
        ("b0-minmax.safetensors", "b0-trio.safetensors", "b0-p2.safetensors"),
        [
            r"float +9\d\.0 %",
            r"minmax +\d\d\.0 % +1\d\.\d dB",
            r"trio +9\d\.0 % +2\d\.\d dB",
            r"p2 +9\d\.0 % +2\d\.\d dB",
        ],
    ),
    "rmac_engine.py": (
        False,
        ("rmac.v", "rmac.json"),
        [r"6 rmac_multiplier_pair", r"cycle 10  out ", r"every row is the model's"],
    ),
}


def run(script: Path, extra: bool, folder: Path) -> subprocess.CompletedProcess:
    """The finished process; imports of the extras' packages fail unless `extra`. Build folder of the other tests."""
    blocked = () if extra else EXTRAS
    program = (
        f"import runpy, sys; sys.modules.update(dict.fromkeys({blocked})); sys.argv = [{script.name!r}]; "
        f"runpy.run_path({str(script)!r}, run_name='__main__')"
    )
    environment = {name: os.environ[name] for name in ("HOME", "PATH")}
    environment |= {"TRIOVIT_BUILD": str(ROOT / "build"), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=folder, env=environment)


@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name, tmp_path):
    extra, files, lines = EXAMPLES[name]
    done = run(ROOT / "examples" / name, extra, tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(".*".join(lines), done.stdout, re.S), done.stdout
    assert not (set(files) - {path.name for path in tmp_path.rglob("*")})


def test_all_examples_are_run_and_are_short():
    scripts = list((ROOT / "examples").glob("*.py"))
    assert {script.name for script in scripts} == {*EXAMPLES, PAGE}
    for script in scripts:
        assert len(script.read_text().splitlines()) <= MOST_LINES, script.name


def test_the_page_about_a_layer_tells_what_its_example_prints(tmp_path):
    printed = run(ROOT / "examples" / PAGE, True, tmp_path).stdout
    told = blocks(ROOT / "docs" / "layer-step-by-step.md")
    assert len(told) > 5
    # Nothing is left out: all blocks together are the whole print.
    assert missing("".join(told), printed) is None and len("".join(told).split()) == len(printed.split())
