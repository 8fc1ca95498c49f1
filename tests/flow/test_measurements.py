"""Measuring again what the estimate of resources is fitted to."""

import json

import pytest

from triovit.boards.devices import Resources
from triovit.boards.measurements import resources
from triovit.flow import measurements
from triovit.hdl.config.accelerator import AcceleratorConfig

DESIGN = """
module triovit(input aclk, input [7:0] a, input [7:0] b, output [15:0] p, output [15:0] q, output reg r);
  triovit_core x(.clk(aclk), .a(a), .b(b), .p(p));
  triovit_core y(.clk(aclk), .a(b), .b(a), .p(q));
  always @(posedge aclk) r <= a[0] ^ b[0];
endmodule
module triovit_core(input clk, input signed [7:0] a, input signed [7:0] b, output reg signed [15:0] p);
  always @(posedge clk) p <= a * b;
endmodule
"""


class Emitted:
    """A machine of two cores, a multiplier each."""

    def write(self, folder):
        (folder / "triovit.v").write_text(DESIGN)
        return [folder / "triovit.v"]


class EmittedCore:
    """One of its cores as a design of its own."""

    def write(self, folder):
        (folder / "core.v").write_text(DESIGN[DESIGN.index("module triovit_core") :].replace("triovit_core", "core"))
        return [folder / "core.v"]


@pytest.fixture
def measure(monkeypatch, tmp_path):
    """Measures a record for a family; returns it with its cells, as the file has it."""
    file = tmp_path / "measurements.json"
    monkeypatch.setenv("TRIOVIT_BUILD", str(tmp_path / "build"))
    monkeypatch.setattr(measurements, "FILE", file)
    monkeypatch.setattr(measurements, "emit_accelerator", lambda config: Emitted())
    monkeypatch.setattr(measurements, "emit_verilog", lambda component, name, technology: EmittedCore())

    def found(**record):
        monkeypatch.setattr(measurements, "records", lambda: [record])
        assert measurements.main() == 0
        (measured,) = json.loads(file.read_text())
        return measured

    return found


CONFIG = {"name": "pair", "cores": 2}


@pytest.mark.parametrize("family", ["xilinx", "ecp5"])
def test_cells_of_a_core_and_of_the_rest(measure, capsys, family):
    """The file keeps its configurations and gets the cells; cores do not count as what exists once."""
    record = measure(family=family, config=CONFIG, parts={"core": {}, "shared": {}})
    assert AcceleratorConfig(**record["config"]).cores == 2 and record["family"] == family
    core, shared = (resources(record["parts"][part]) for part in ("core", "shared"))
    assert core.dsp == 1 and shared == Resources(lut=1, ff=1, dsp=0, ram=0)
    assert "1 of 1: pair for " in capsys.readouterr().out


def test_cells_of_a_core_alone(measure):
    assert measure(family="xilinx", config=CONFIG, parts={"core": {}})["parts"].keys() == {"core"}
