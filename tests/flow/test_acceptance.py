"""What the project promises, through the command line: photo, CIFAR-10, EfficientViT-B1, the paper's machine.

CIFAR-10 is looked for in the folder that TRIOVIT_DATA names, or in ../shared/data beside the checkout
(cifar10_jpeg.npz).
"""

import os
import re
from pathlib import Path

import pytest

from triovit.hdl.config.accelerator import PRESETS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("TRIOVIT_DATA", ROOT.parent / "shared" / "data"))
CIFAR = DATA / "cifar10_jpeg.npz"
# Measured on the RTL. A run is exact; a change of the compiler may cost or gain a per cent without a word.
PHOTO_CYCLES, B1_CYCLES = (pytest.approx(cycles, rel=0.01) for cycles in (223_525, 4_796_933))
ACCURACY_POINTS = 2


def test_the_photo_shows_a_cat_and_every_tensor_agrees(triovit):
    outcome = triovit("compare")
    assert outcome.status == 0
    assert outcome.report["differences"] == [] and outcome.report["tensors"] == 83
    assert outcome.report["cycles"] == PHOTO_CYCLES
    assert "class: cat\n" in outcome.out
    assert f"0 of {outcome.report['tensors']} tensors differ" in outcome.out


@pytest.mark.skipif(not CIFAR.is_file(), reason=f"CIFAR-10 is missing: {CIFAR} (set TRIOVIT_DATA to its folder)")
def test_a_hundred_cifar_images(triovit):
    report = triovit("compare", "bundled", "--data", CIFAR, "--images", 100).report
    assert report["images"] == 100 and report["different"] == []
    assert report["rtl_accuracy"] == report["golden_accuracy"]
    assert abs(report["golden_accuracy"] - report["float_accuracy"]) <= ACCURACY_POINTS
    assert report["float_accuracy"] > 75


def test_efficientvit_b1(triovit):
    """At 16 bytes per cycle of memory, shared by reads and writes, 32 cycles of latency."""
    outcome = triovit("compare", "b1-r224")
    assert outcome.status == 0
    report = outcome.report
    assert report["differences"] == [] and report["tensors"] == 128
    assert report["macs"] > 500_000_000
    assert report["cycles"] == B1_CYCLES
    measured = [layer for layer in report["layers"] if layer["cycles"] is not None]
    assert 0.99 * report["cycles"] < sum(layer["cycles"] for layer in measured) <= report["cycles"]
    assert all(layer["utilization"] <= 100 for layer in measured)


def test_the_paper_s_machine(triovit, tmp_path):
    """2048 multipliers: lint, synthesis, and each kind of module once."""
    folder, config = tmp_path / "zcu102", PRESETS["trio-zcu102"]
    outcome = triovit("generate", "--config", config.name, "-o", folder, "--lint", "--synthesize", "xilinx")
    assert outcome.status == 0
    report, cells = outcome.report, outcome.report["cells"]
    assert report["multipliers"] == 2048 and report["lint"] == []
    assert "Verilator lint: clean" in outcome.out and "DSP48E2" in outcome.out
    instances = report["instances"]
    assert instances["triovit_core"] == 16
    assert instances["triovit_rmac_engine"] == instances["triovit_mat_engine"] == 16
    modules = re.findall(r"^module (\w+)", (folder / "triovit.v").read_text(), re.M)
    assert len(modules) == len(set(modules)) == report["modules"]
    for kind in ("core", "rmac_engine", "rmac_array", "rmac_rows", "mat_engine", "post_lane"):
        assert [name for name in modules if name.startswith(f"triovit_{kind}")] == [f"triovit_{kind}"]
    assert 1024 <= cells["DSP48E2"] <= 1900
    # Buffers but K are block RAM: at least their bits, and not twice as much (a block has 36 Kbit, 32 of them used).
    core = config.feature_bytes + config.output_bytes
    kibibytes = (config.cores * core + 2 * config.weight_bytes + config.parameter_bytes) / 1024
    blocks = cells["RAMB36E2"] + cells.get("RAMB18E2", 0) / 2
    assert kibibytes / 4 <= blocks <= kibibytes / 2
