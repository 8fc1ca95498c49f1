"""Delays through a DSP48E2, whose registers its parameters switch on."""

import pytest

from tests.flow.silicon.netlists import module, netlist, register
from tests.flow.silicon.test_ultrascale import NET, OUT, SETUP, delays, paths
from triovit.flow.silicon.delays import ULTRASCALE_PLUS, Stage
from triovit.flow.silicon.graph import TimingGraph
from triovit.flow.silicon.paths import LongestPaths
from triovit.flow.silicon.ultrascale import describe

REGISTERS = ("A", "B", "C", "D", "AD", "M", "P")
PREADDER, MULTIPLIER, ADDER, PIN = 0.40, 1.30, 0.90, 0.40  # PIN: to a register, and from that of P


def design(pins, parameters):
    """A DSP with a register `a` in front of the pins, named with blanks between, and a register `p` behind P."""
    connections = {"P": [20], "CLK": [2]} | {pin: ["0", 10] for pin in pins.split()}
    return {"a": register("0", 10), "dsp": ("DSP48E2", connections, parameters), "p": register(20, 99)}


def dsp(*registers, **parameters):
    """Values of the registers' parameters, on for those that are named."""
    return {f"{name}REG": str(int(name in registers)) for name in REGISTERS} | parameters


@pytest.mark.parametrize(
    ("pin", "delay"), [("A", NET + 2.2), ("B", NET + 2.2), ("C", NET + ADDER), ("PCIN", ADDER), ("D", None)]
)
def test_without_registers(tmp_path, pin, delay):
    """The product takes 2.2 ns, the sum of two stages; a cascade has wires of its own; D needs the pre-adder."""
    cells = design(pin, dsp())
    assert delays(tmp_path, cells) == ({("a", "p", "D"): OUT + delay + NET + SETUP} if delay else {})
    if delay:
        assert paths(tmp_path, cells)["a", "p", "D"].count(Stage.DSP) == 1


def test_all_registers(tmp_path):
    """Every stage is a path of its own; registers are on unless a parameter says otherwise."""
    parameters = {"AMULTSEL": "AD"}
    out = {("dsp", "p", "D"): PIN + NET + SETUP, ("dsp.M", "dsp", "P"): OUT + ADDER + PIN}
    multiplied = out | {("dsp.AD", "dsp", "M"): OUT + MULTIPLIER + PIN}
    expected = {
        "A": multiplied | {("dsp.A", "dsp", "AD"): OUT + PREADDER + PIN},
        "D": multiplied | {("dsp.D", "dsp", "AD"): OUT + PREADDER + PIN},
        "B": out | {("dsp.B", "dsp", "M"): OUT + MULTIPLIER + PIN},
        "C": {("dsp", "p", "D"): PIN + NET + SETUP, ("dsp.C", "dsp", "P"): OUT + ADDER + PIN},
        "INMODE": out | {("dsp.INMODE", "dsp", "M"): OUT + MULTIPLIER + PIN},
        "OPMODE": {("dsp", "p", "D"): PIN + NET + SETUP, ("dsp.OPMODE", "dsp", "P"): OUT + ADDER + PIN},
    }
    for pin, found in expected.items():
        cells = design(pin, parameters)
        assert delays(tmp_path, cells) == found | {("a", "dsp", pin): OUT + NET + PIN}, pin
        counts = {key: path.count(Stage.DSP) for key, path in paths(tmp_path, cells).items()}
        assert counts == {key: int(key[0].startswith("dsp.")) for key in counts}


def test_constants_start_no_paths(tmp_path):
    assert delays(tmp_path, design("", {})) == {("dsp", "p", "D"): PIN + NET + SETUP}


def test_two_registers_at_an_operand(tmp_path):
    found = delays(tmp_path, design("A", dsp("A") | {"AREG": "10"}))
    assert found == {("a", "dsp", "A"): OUT + NET + PIN, ("dsp.A", "p", "D"): OUT + 2.2 + NET + SETUP}


@pytest.mark.parametrize("chosen", "AB")
def test_preadder(tmp_path, chosen):
    """It stands before the operand that is chosen, where the multiplier asks for it."""
    parameters = dsp("M", "P", **{f"{chosen}MULTSEL": "AD", "PREADDINSEL": chosen})
    for pin, added in ((chosen, PREADDER), ("D", PREADDER), ("AB".replace(chosen, ""), 0)):
        cells = design(pin, parameters)
        assert delays(tmp_path, cells)["a", "dsp", "M"] == OUT + NET + added + MULTIPLIER + PIN
        assert paths(tmp_path, cells)["a", "dsp", "M"].count(Stage.DSP) == 1


def test_preadder_with_its_register(tmp_path):
    cells = design("A", dsp("AD", "P", AMULTSEL="AD"))
    found = paths(tmp_path, cells)
    assert found["a", "dsp", "AD"].delay == pytest.approx(OUT + NET + PREADDER + PIN)
    assert found["dsp.AD", "dsp", "P"].delay == pytest.approx(OUT + 2.2 + PIN)
    assert found["a", "dsp", "AD"].count(Stage.DSP) == found["dsp.AD", "dsp", "P"].count(Stage.DSP) == 1


def test_products_registered_inside(tmp_path):
    """With M alone, the sum comes without a register behind it."""
    found = delays(tmp_path, design("A", dsp("M")))
    assert found == {
        ("a", "dsp", "M"): OUT + NET + MULTIPLIER + PIN,
        ("dsp.M", "p", "D"): OUT + ADDER + NET + SETUP,
    }


@pytest.mark.parametrize("pin", ["A", "B", "C"])
def test_without_multiplier(tmp_path, pin):
    """A and B together are an operand of the adder."""
    cells = design(pin, dsp(USE_MULT="NONE"))
    assert delays(tmp_path, cells) == {("a", "p", "D"): OUT + NET + ADDER + NET + SETUP}
    assert paths(tmp_path, cells)["a", "p", "D"].count(Stage.DSP) == 1


def test_cascades(tmp_path):
    """From DSP to DSP without nets: sums by PCOUT, operands by ACOUT and BCOUT."""
    cells = {"x": ("DSP48E2", {"PCOUT": [30]}, dsp("P")), "y": ("DSP48E2", {"PCIN": [30]}, dsp("P"))}
    assert delays(tmp_path, cells) == {("x", "y", "P"): PIN + ADDER + PIN}
    cells["x"] = ("DSP48E2", {"PCOUT": [30], "C": [10]}, dsp())
    cells["a"] = register("0", 10)
    assert delays(tmp_path, cells) == {("a", "y", "P"): OUT + NET + 2 * ADDER + PIN}
    for letter in "AB":
        cells = {
            "a": register("0", 10),
            "x": ("DSP48E2", {letter: [10], f"{letter}COUT": [30]}, dsp(letter)),
            "y": ("DSP48E2", {f"{letter}CIN": [30]}, dsp("M")),
        }
        assert delays(tmp_path, cells)[f"x.{letter}", "y", "M"] == OUT + MULTIPLIER + PIN


@pytest.mark.parametrize("pin", ["OPMODE", "ALUMODE", "CARRYIN", "CARRYINSEL"])
def test_controls_of_the_adder(tmp_path, pin):
    found = delays(tmp_path, design(pin, dsp("P") | {f"{pin}REG": "0"}))
    assert found["a", "dsp", "P"] == OUT + NET + ADDER + PIN


def test_control_of_the_multiplier(tmp_path):
    found = delays(tmp_path, design("INMODE", dsp("M") | {"INMODEREG": "0"}))
    assert found["a", "dsp", "M"] == OUT + NET + MULTIPLIER + PIN


@pytest.mark.parametrize("pin", ["CEP", "RSTM"])
def test_enables_and_resets(tmp_path, pin):
    assert delays(tmp_path, design(pin, dsp()))["a", "dsp", pin] == OUT + NET + PIN


def test_names(tmp_path):
    """An instance of the Verilog by its own name, an inferred product by its result's."""
    for name, told in (("dsp", "dsp"), ("$mul$triovit.v:3", "product")):
        described = module(cells={name: ("DSP48E2", {"P": [20]}, dsp("P")), "p": register(20, 99)}, product=[20])
        graph = TimingGraph(netlist(tmp_path, top=described), describe, ULTRASCALE_PLUS)
        assert [path.start for path in LongestPaths(graph).families(9)] == [told]
