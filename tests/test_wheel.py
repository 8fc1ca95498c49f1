"""The wheel in an environment of its own, away from the checkout: what it holds, claims, needs and writes."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
TOPS = sorted({name.split(".")[1] for name in PROJECT["tool"]["setuptools"]["packages"]})
DATA = (
    "boards/measurements.json",
    "golden/assets/README.md",
    "golden/assets/chelsea.png",
    "golden/assets/efficientvit_b0_cifar10_r64.int8.safetensors",
    "golden/assets/efficientvit_b0_cifar10_r64.safetensors",
    "golden/assets/sample.npz",
    "hdl/memory/ram.v",
    "hdl/multiplier/dsp48e2.v",
    "hdl/multiplier/multiply_add.v",
    "sim/rtl/axi_memory.h",
    "sim/rtl/harness.cpp",
    "sim/rtl/upsets.h",
    "sim/rtl/upsets.vlt",
)
BLOCKED = ("torch", "distributed", "dask", "cloudpickle", "matplotlib", "pytest", "cocotbext")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy: setuptools leaves files where it builds, and takes along what it finds there the next time."""
    source = tmp_path_factory.mktemp("source")
    ignored = shutil.ignore_patterns("__pycache__")
    for name in TOPS:
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, source / name)
    folder = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source)
    (found,) = folder.iterdir()
    return found


def pip(*words):
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def installation(wheel, tmp_path_factory):
    """(bin folder, site-packages) of a new environment with the wheel.

    The packages that it needs are those of this environment, through its folder alone: files there that would lead to
    the checkout (.pth) are not followed. Imports of the extras' packages fail.
    """
    folder = tmp_path_factory.mktemp("environment") / "with a blank"
    venv.create(folder, with_pip=False, symlinks=True)
    paths = sysconfig.get_paths(vars={"base": str(folder), "platbase": str(folder)}, scheme="venv")
    scripts, site = Path(paths["scripts"]), Path(paths["purelib"])
    pip("--python", scripts / "python", "install", "--no-deps", "--no-index", wheel)
    block = f"import sys; sys.modules.update(dict.fromkeys({BLOCKED}))"
    (site / "others.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n{block}\n")
    return scripts, site


@pytest.fixture(scope="module")
def elsewhere(installation, tmp_path_factory):
    """call(program, words...) -> the finished process, in one folder away from the checkout."""
    folder, home = (tmp_path_factory.mktemp(name) for name in ("elsewhere", "home"))
    folder = folder / "with a blank"
    folder.mkdir()
    environment = {"PATH": f"{installation[0]}{os.pathsep}{os.environ['PATH']}", "HOME": str(home)}

    def call(program, *words, cwd=folder, **variables):
        command = [str(installation[0] / program), *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment | variables)

    call.folder = folder
    return call


def content(site: Path) -> dict[str, int]:
    """Files of an environment and their times of change; what Python compiles on import does not count."""
    return {
        str(path.relative_to(site)): path.stat().st_mtime_ns
        for path in site.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_contents(wheel):
    version = PROJECT["project"]["version"]
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0] for name in names} == {"triovit", f"triovit-{version}.dist-info"}
    python = {f"triovit/{path.relative_to(ROOT).as_posix()}" for top in TOPS for path in (ROOT / top).rglob("*.py")}
    data = {f"triovit/{name}" for name in DATA}
    assert {name for name in names if name.startswith("triovit/")} == python | data


def test_everything_is_below_one_name(elsewhere):
    tell = "import triovit.hdl, triovit.golden; print(triovit.hdl.__file__)"
    done = elsewhere("python", "-c", tell)
    assert done.returncode == 0 and "site-packages" in done.stdout and str(ROOT) not in done.stdout, done.stderr
    for name in (*TOPS, "tests"):
        done = elsewhere("python", "-c", f"import {name}")
        assert "ModuleNotFoundError" in done.stderr, name


def test_commands_work_and_leave_the_installation_alone(installation, elsewhere):
    before = content(installation[1])
    for words, told in (
        (("--help",), "COMMAND"),
        (("--version",), f"triovit {PROJECT['project']['version']}"),
        (("doctor",), "everything needed is there"),
        (("generate", "--config", "trio-tiny", "-o", "tiny", "--lint"), "Verilator lint: clean"),
        (("compile", "bundled", "-o", "b0.program.safetensors"), "instructions"),
        (("disassemble", "b0.program.safetensors"), "RMAC_CONV"),
        (("run", "--backend", "golden"), "sample photo of a cat: cat"),
        (("compare",), "0 of 83 tensors differ"),
    ):
        done = elsewhere("triovit", *words)
        assert done.returncode == 0 and told in done.stdout, (words, done.stdout, done.stderr)
    assert content(installation[1]) == before
    assert {path.name for path in elsewhere.folder.iterdir()} == {"tiny", "b0.program.safetensors", "build"}
    assert {path.name for path in (elsewhere.folder / "build").iterdir()} == {"durations.json", "verilator", "verilog"}


def test_a_current_folder_that_cannot_be_written(elsewhere, tmp_path):
    """One line, at once, with the remedy; and the remedy works. Nobody, not even root, makes folders in /sys."""
    done = elsewhere("triovit", "run", cwd="/sys")
    assert done.returncode == 2 and done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last.startswith("triovit run: error: /sys/build/verilog: ") and "TRIOVIT_BUILD" in last
    assert "Traceback" not in done.stderr
    done = elsewhere("triovit", "run", cwd="/sys", TRIOVIT_BUILD=str(elsewhere.folder / "build"))
    assert done.returncode == 0 and "cat" in done.stdout, done.stderr


def test_what_needs_the_extra_says_so(elsewhere):
    done = elsewhere("triovit", "quantize", "b0-r32", "-o", "x.safetensors")
    assert done.returncode == 2 and done.stderr.endswith("pip install 'triovit[quantize]'\n")
