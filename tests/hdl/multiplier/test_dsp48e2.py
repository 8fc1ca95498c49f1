"""The packed multiplier: its instance, its behaviour in Verilog and its twin in Amaranth are one and the same."""

import json
from pathlib import Path

import pytest

from tests.hdl.formal import run_yosys
from triovit.hdl.emit.verilog import emit_verilog
from triovit.hdl.multiplier.dsp48e2 import PACKED_MODULE, PACKED_SOURCE, PackedMultiplier
from triovit.hdl.technology import ULTRASCALE
from triovit.sim.bench import run_bench

HERE = Path(__file__).parent
# Registers of the behaviour, and those of the instance and of the twin that hold the same.
INSTANCE = {
    "upper": "dsp.d_r",
    "lower": "dsp.a2_r[26:0]",
    "shared1": "dsp.b1_r",
    "packed_operand": "dsp.ad_r",
    "shared2": "dsp.b2_r",
    "product": "dsp.m_r",
    "z": "dsp.opmode_r[5:4]",
    "total": "dsp.p_r",
}
TWIN = {name: f"twin.{name}" for name in INSTANCE} | {"packed_operand": "twin.packed", "total": "twin.cascade_out"}


def prove(cascaded: int, gate: str, module: str, registers: dict[str, str]) -> None:
    """Prove that the behaviour and another module are the same for ever once they are in equal states.

    Equal registers stay equal, by induction over one cycle. gate: commands that read the other module. In place of
    the multiplications stands a function that cannot hide a difference of their operands.
    """
    states = " ".join(f"-prove gold.{mine} gate.{other}" for mine, other in registers.items())
    run_yosys(
        f"""
        tee -q read_verilog -nosynthesis {PACKED_SOURCE}
        tee -q chparam -set CASCADED {cascaded} {PACKED_MODULE}
        tee -q rename {PACKED_MODULE} gold_module
        {gate}
        tee -q read_verilog -DGOLD=gold_module -DGATE={module} {HERE / "equivalence.v"}
        tee -q hierarchy -top equivalence
        tee -q proc
        tee -q flatten
        tee -q setattr -set keep 1 w:*
        tee -q opt_expr
        tee -q opt_dff
        tee -q opt_clean
        select -assert-count 2 t:$mul
        tee -q techmap -map {HERE / "function.v"}
        tee -q opt_clean
        select -assert-none t:$mul
        sat -verify -tempinduct -set-init-zero -seq 1 -maxsteps 2 -prove gold_p gate_p \
            -prove gold_cascade gate_cascade {states} equivalence
        """.replace("\\\n            ", "")
    )


@pytest.mark.parametrize("cascaded", [0, 1])
def test_instance_is_the_behaviour(cascaded):
    gate = f"""
        tee -q read_verilog -DSYNTHESIS {PACKED_SOURCE}
        tee -q chparam -set CASCADED {cascaded} {PACKED_MODULE}
        tee -q rename {PACKED_MODULE} gate_module
        tee -q read_verilog {HERE / "dsp48e2_model.v"}
    """
    prove(cascaded, gate, "gate_module", INSTANCE)


def twin(folder: Path, cascaded: bool) -> Path:
    return emit_verilog(PackedMultiplier(cascaded), "twin", technology=ULTRASCALE.in_simulation()).write(folder)[0]


@pytest.mark.parametrize("cascaded", [0, 1])
def test_twin_is_the_behaviour(cascaded, tmp_path):
    prove(cascaded, f"tee -q read_verilog {twin(tmp_path, bool(cascaded))}", "adapter", TWIN)


@pytest.mark.parametrize(
    "register, other", [("z", "shared2[1:0]"), ("upper", "lower"), ("total", "cascade_out[46:0],1'b0")]
)
def test_what_differs_is_not_proved(register, other, tmp_path):
    gate = f"tee -q read_verilog {twin(tmp_path, cascaded=True)}"
    with pytest.raises(RuntimeError):
        prove(1, gate, "adapter", TWIN | {register: f"twin.{other}"})


@pytest.mark.parametrize("part", ["en[1]", "18'd0}", "2'd1 ?"])
def test_another_behaviour_is_not_proved(part, tmp_path):
    """A clock enable, the place of the upper operand, the addend: a twin that has them otherwise is refused."""
    wrong = {"en[1]": "en[2]", "18'd0}": "18'd1}", "2'd1 ?": "2'd2 ?"}[part]
    source = tmp_path / "wrong.v"
    source.write_text(PACKED_SOURCE.read_text().replace(part, wrong).replace(PACKED_MODULE, "wrong"))
    same = {name: name for name in INSTANCE}
    gate = f"""
        tee -q read_verilog -nosynthesis {source}
        tee -q chparam -set CASCADED 1 wrong
    """
    with pytest.raises(RuntimeError, match="proof did fail"):
        prove(1, gate, "wrong", same)


def test_synthesis_keeps_the_instance_and_adds_nothing(tmp_path):
    statistics = tmp_path / "statistics.json"
    files = " ".join(map(str, emit_verilog(PackedMultiplier(), "dut").write(tmp_path)))
    run_yosys(
        f"""
        tee -q read_verilog {files}
        tee -q synth_xilinx -family xcup -noiopad -noclkbuf -flatten -top dut
        tee -q -o {statistics} stat -json
        """
    )
    cells = json.loads(statistics.read_text())["design"]["num_cells_by_type"]
    assert {name: count for name, count in cells.items() if name != "$scopeinfo"} == {"DSP48E2": 1}


def test_bench():
    run_bench(PackedMultiplier(), "tests.hdl.multiplier.bench_dsp48e2", name="packed_multiplier")


def test_verilog_file():
    assert emit_verilog(PackedMultiplier(), "dut").extra_files == (PACKED_SOURCE,)
