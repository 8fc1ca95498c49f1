"""What works without the packages of the extras, what is said where one is missing, and how fast help is."""

import json
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from triovit.flow import packages

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = ("torch", "distributed", "dask", "cloudpickle", "matplotlib", "pytest", "cocotbext", "setuptools")
SECONDS = 1.0  # help is there within

PROGRAM = """
import sys
sys.modules.update(dict.fromkeys({extras}))  # imports of them fail
from triovit.flow.cli import main
try:
    sys.exit(main(sys.argv[1:]))
finally:
    loaded = {{name.partition(".")[0] for name, module in sys.modules.items() if module}}
    print("MODULES", *sorted(loaded), file=sys.stderr)
"""


@pytest.fixture
def bare(tmp_path):
    """bare("run", ...) -> the finished process of a command without the extras' packages."""

    def call(*words):
        command = [sys.executable, "-c", PROGRAM.format(extras=EXTRAS), *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    return call


def test_generate(bare, tmp_path):
    done = bare("generate", "--config", "trio-tiny", "-o", "out")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "triovit.v").stat().st_size > 100_000


def test_compile_and_disassemble(bare):
    done = bare("compile", "bundled", "-o", "b0.program.safetensors")
    assert done.returncode == 0, done.stderr
    done = bare("disassemble", "b0.program.safetensors")
    assert done.returncode == 0 and "RMAC_CONV" in done.stdout, done.stderr


def test_doctor(bare):
    done = bare("doctor")
    assert done.returncode == 0 and "amaranth" in done.stdout, done.stderr


@pytest.mark.parametrize("backend", ["golden", "rtl"])
def test_run(bare, triovit, small_file, photos, tmp_path, backend, monkeypatch):
    image = photos / "cat" / "a.png"
    common = ("run", small_file, "--config", "trio-tiny", "--image", image, "--backend")
    monkeypatch.setenv("TRIOVIT_BUILD", str(ROOT / "build"))  # the simulator of other tests
    done = bare(*common, backend, "--json", "bare.json")
    assert done.returncode == 0, done.stderr
    expected = triovit(*common, "golden").report
    assert json.loads((tmp_path / "bare.json").read_text())["images"] == expected["images"]


def test_run_on_the_sample_photo(bare):
    done = bare("run", "--backend", "golden")
    assert done.returncode == 0 and done.stdout.startswith("sample photo of a cat: cat (golden)\n"), done.stderr


def test_compare_says_what_it_leaves_out(bare, photos, tmp_path, monkeypatch):
    monkeypatch.setenv("TRIOVIT_BUILD", str(ROOT / "build"))
    done = bare("compare", "bundled", "--data", photos, "--images", 1, "--json", "report.json")
    assert done.returncode == 0 and "logits equal on 1 of 1 images" in done.stdout, done.stderr
    assert "left out, for want of PyTorch: pip install 'triovit[quantize]'" in done.stderr
    assert "float_accuracy" not in json.loads((tmp_path / "report.json").read_text())


@pytest.mark.parametrize(
    "words",
    [
        ("compile", "b0-r32"),
        ("run", "--backend", "float"),
        ("run", "--backend", "golden", "--data", "."),
        ("quantize", "b0-r32", "-o", "x.safetensors"),
        ("evaluate", "--data", "."),
    ],
)
def test_what_is_missing_is_told_with_its_remedy(bare, words):
    done = bare(*words)
    assert done.returncode == 2 and done.stdout == ""
    needed = "Matplotlib" if words[0] == "evaluate" else "PyTorch"
    assert done.stderr.splitlines()[0] == (
        f"triovit {words[0]}: error: this needs {needed}, which is not installed: pip install 'triovit[quantize]'"
    )


def test_names_of_missing_modules():
    """Every package of the extra `quantize` is told by its module's name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [text.partition("==")[0] for text in project["optional-dependencies"]["quantize"]]
    assert sorted(names) == sorted(packages.MODULES)
    assert packages.missing_extra(ModuleNotFoundError(name="amaranth")) is None
    for name in packages.MODULES:
        assert "pip install 'triovit[quantize]'" in packages.missing_extra(ModuleNotFoundError(name=f"{name}.sub"))


def test_requirements_are_those_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    expected = [(text.partition("==")[0], None) for text in project["dependencies"]]
    for extra, texts in project["optional-dependencies"].items():
        expected += [(text.partition("==")[0], extra) for text in texts if "==" in text]
    assert sorted(packages.requirements(), key=str) == sorted(expected, key=str)


@pytest.mark.parametrize("words", [("--help",), ("generate", "--help")])
def test_help_is_fast(words):
    """The best of three: the machine may have other work."""
    program = PROGRAM.format(extras=())
    best, modules = 60.0, []
    for _ in range(3):
        started = time.monotonic()
        done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True)
        best = min(best, time.monotonic() - started)
        assert done.returncode == 0
        modules = done.stderr.split()[1:]
    assert best < SECONDS, f"{best:.2f} s"
    assert not {"torch", "distributed", "matplotlib", "scipy"} & set(modules)
    if words == ("--help",):
        assert not {"amaranth", "numpy", "rich"} & set(modules)
