"""Measuring again what the estimate of resources is fitted to."""

import json

import pytest

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


@pytest.mark.parametrize("family", ["xilinx", "ecp5"])
def test_cells_of_the_whole_and_of_a_core(monkeypatch, tmp_path, capsys, family):
    """The file keeps its configurations and gets the cells."""
    file = tmp_path / "measurements.json"
    config = {"name": "pair", "cores": 2}
    monkeypatch.setenv("TRIOVIT_BUILD", str(tmp_path / "build"))
    monkeypatch.setattr(measurements, "FILE", file)
    monkeypatch.setattr(measurements, "records", lambda: [{"family": family, "config": config}])
    monkeypatch.setattr(measurements, "emit_accelerator", lambda config: Emitted())
    assert measurements.main() == 0
    (record,) = json.loads(file.read_text())
    assert AcceleratorConfig(**record["config"]).cores == 2 and record["family"] == family
    whole, core = resources(record["whole"]), resources(record["core"])
    assert (whole.dsp, core.dsp) == (2, 1)
    assert whole.ff == 2 * core.ff + 1 and whole.lut >= 1
    assert "1 of 1: pair" in capsys.readouterr().out
