"""Names in emitted Verilog: plain, unique, and the same from every Python."""

import ast
import functools
import linecache
import re
import sys
from pathlib import Path

import pytest
from amaranth import tracer
from amaranth.back import verilog
from amaranth.hdl import Fragment, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tests.hdl.formal import run_yosys
from tests.sim.configurations import PAIR, TINY, WIDE
from triovit.hdl.accelerator import Accelerator
from triovit.hdl.emit.names import IDENTIFIER, plain_name, unique_name, with_plain_names
from triovit.hdl.emit.verilog import emit_verilog
from triovit.hdl.generate import emit_accelerator
from triovit.hdl.technology import GENERIC


@pytest.mark.parametrize(
    "name, plain",
    [
        ("x", "x"),
        ("x[3]", "x__3"),
        ("x[3][12].low", "x__3__12__low"),
        ("x$7", "x_7"),
        ("$5", "_5"),
        ("4x", "_4x"),
        ("größe", "gr__e"),
    ],
)
def test_plain_name(name, plain):
    assert plain_name(name) == plain


def test_unique_name():
    assert unique_name("x", {"y"}) == "x"
    assert unique_name("x", {"x", "x_1", "x_3"}) == "x_2"


def test_names_are_replaced_throughout_and_stay_apart():
    """The same name gets the same replacement, others get others; strings and keywords stay."""
    module = (
        'module m(\\local , x__3);\n  (* text = "\\\\x[3] is \\"x[3]\\" " *)\n  wire \\x[3] ;\n  wire [1:0] \\x[3]_ ;\n'
        "  wire \\x.3 ;\n  assign \\x[3]  = \\local ;\n  assign x__3 = \\x[3]_ [1] & \\x.3 ;\nendmodule\n"
    )
    assert with_plain_names(module) == (
        'module m(\\local , x__3);\n  (* text = "\\\\x[3] is \\"x[3]\\" " *)\n  wire x__3_1;\n  wire [1:0] x__3_;\n'
        "  wire x__3_2;\n  assign x__3_1 = \\local ;\n  assign x__3 = x__3_[1] & x__3_2;\nendmodule\n"
    )


class Awkward(wiring.Component):
    """Elements of an array beside a signal of their plain name, one name twice, no name, a keyword, a port "a.b"."""

    i: In(data.ArrayLayout(4, 3))
    i__0: In(4)
    local: In(4)
    o: Out(data.StructLayout({"low": 4, "high": 4}))

    def elaborate(self, platform):
        m = Module()
        totals = [Signal(4, name="total") for _ in range(3)]
        m.submodules.inner = inner = Module()
        crossing = Signal(4, name="a.b")
        for value, total in zip(self.i, totals, strict=True):
            m.d.sync += total.eq(total + value)
        m.d.comb += crossing.eq(totals[0] ^ totals[1])
        inner.d.comb += self.o.low.eq(crossing + self.local)
        m.d.comb += self.o.high.eq((totals[2] & self.i__0) * 3)
        return m


def escaped(text: str) -> set[str]:
    return set(re.findall(r"\\(\S+)", re.sub(r'"[^"\n]*"', "", text)))


def test_emitted_names_are_plain(tmp_path):
    emitted = emit_verilog(Awkward(), "awkward")
    assert escaped(emitted.text) == {"local"}
    names = set(re.findall(r"\w+", emitted.text))
    assert {"i__0", "i__0_1", "i__1", "o__low", "a__b"} <= names
    assert len([name for name in names if re.fullmatch(r"total(_\d+)?", name)]) == 3
    assert [port for port, _, _ in emitted.ports] == ["clk", "rst", "i", "i__0", "local", "o"]
    assert "module awkward(clk, rst, i, i__0, \\local , o);" in emitted.text
    files = emitted.write(tmp_path)
    run_yosys(f"read_verilog {files[0]}\nhierarchy -check -top awkward\nproc\ncheck -assert")


def test_accelerator_has_plain_names():
    text = emit_accelerator(TINY).text
    assert all(IDENTIFIER.fullmatch(name) for name in escaped(text))  # keywords
    assert not re.search(r"\b_signal", text)  # Amaranth calls what it finds no name for $signal


class Skew(wiring.Component):
    """Element j of an array, j cycles late."""

    def __init__(self):
        vector = data.ArrayLayout(signed(8), 4)
        super().__init__({"i": In(vector), "o": Out(vector), "skewed": In(1)})

    def elaborate(self, platform):
        m = Module()
        for j in range(4):
            late = self.i[j]
            for depth in range(j):
                before = late
                late = Signal(signed(8), name=f"late_{j}_{depth}", reset_less=True)
                m.d.sync += late.eq(before)
            m.d.comb += self.o[j].eq(Mux(self.skewed, late, self.i[j]))
        return m


def test_yosys_takes_the_names(tmp_path):
    """Plain `synth_ecp5` on elements of an array, which stops on the names that Amaranth gives them."""
    text = emit_verilog(Skew(), "skew").text
    given = verilog.convert(Skew(), name="skew", emit_src=False, strip_internal_attrs=True)
    for name, source in {"ours": text, "given": given}.items():
        (tmp_path / f"{name}.v").write_text(source)
    synthesis = "read_verilog {}\nsynth_ecp5 -top skew"
    run_yosys(synthesis.format(tmp_path / "ours.v"))
    with pytest.raises(RuntimeError, match=r"count_id\(wire->name\) == 0"):
        run_yosys(synthesis.format(tmp_path / "given.v"))


class Watch:
    """Amaranth's search for the name of a value, which reads Python's bytecode; `unclear`: where that is a risk.

    Every Python finds the name in `name = Signal()` and `a.name = Signal()`. In `a, b = Signal(), Signal()`, in
    comprehensions and in arguments the bytecode differs from version to version, and with it the name, if any.
    """

    def __init__(self, monkeypatch):
        self.unclear, self.asked, self._find = set(), 0, tracer.get_var_name
        monkeypatch.setattr(tracer, "get_var_name", self)

    def __call__(self, depth=2, **options):
        frame = sys._getframe(depth)
        self.asked += 1
        # A memory is emitted under the name of its submodule.
        if options.get("default") != "$memory" and not self._is_assigned(frame):
            self.unclear.add(f"{Path(frame.f_code.co_filename).name}: {self._line(frame)}")
        return self._find(depth + 1, **options)

    @staticmethod
    def _line(frame) -> str:
        return linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()

    @staticmethod
    def _is_assigned(frame) -> bool:
        """The call under way in a frame is the whole right side of an assignment to one name or attribute."""
        line, _, column, _ = list(frame.f_code.co_positions())[frame.f_lasti // 2]
        return (line, column) in assigned_calls(frame.f_code.co_filename)


@functools.cache
def assigned_calls(file: str) -> set[tuple[int, int]]:
    """Line and column of the calls that are the whole right side of an assignment to one name or attribute."""
    return {
        (node.value.lineno, node.value.col_offset)
        for node in ast.walk(ast.parse(Path(file).read_text(encoding="utf-8")))
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        if len(node.targets) == 1 and isinstance(node.targets[0], ast.Name | ast.Attribute)
    }


@pytest.mark.parametrize("config", (TINY, PAIR, WIDE), ids=lambda config: config.name)
def test_names_are_the_same_from_every_python(config, monkeypatch):
    watch = Watch(monkeypatch)
    Fragment.get(Accelerator(config), GENERIC)
    assert watch.asked > 400
    assert not watch.unclear


class Unclear(wiring.Component):
    o: Out(1)

    def elaborate(self, platform):
        m = Module()
        clear = Signal()
        self.clear = Signal()
        a, b = Signal(), Signal()
        c = [Signal() for _ in range(2)]
        d = Signal(name="d") if self.o.name else Signal()
        e = self.e = Signal()
        m.d.comb += self.o.eq(a & b & c[0] & c[1] & d & e & clear & self.clear)
        return m


def test_unclear_names_are_found(monkeypatch):
    watch = Watch(monkeypatch)
    Fragment.get(Unclear(), None)
    assert watch.unclear == {
        "test_names.py: a, b = Signal(), Signal()",
        "test_names.py: c = [Signal() for _ in range(2)]",
        "test_names.py: e = self.e = Signal()",
    }
