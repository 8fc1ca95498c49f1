"""Emitted Verilog: one module a distinct component, proven equal to Amaranth's own output, same text every time."""

import json
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from amaranth.back import verilog
from amaranth.hdl import ClockDomain, EnableInserter, Instance, Module, ResetInserter, Signal, signed
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from tests.hdl.formal import run_yosys
from triovit.hdl.emit import hierarchy
from triovit.hdl.emit.fingerprint import fingerprint
from triovit.hdl.emit.hierarchy import snake_case
from triovit.hdl.emit.verilog import check_module_name, emit_verilog
from triovit.hdl.memory.ram import RAM_MODULE, RAM_SOURCE, Ram

ROOT = Path(__file__).resolve().parents[3]


class Lane(wiring.Component):
    a: In(signed(4))
    b: In(signed(4))
    total: Out(signed(8), init=3)
    spare: Out(4)

    def __init__(self, step=1):
        self.step = step
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.d.comb += self.spare.eq(self.a)
        m.d.sync += self.total.eq(self.total + self.a * self.b + self.step)
        return m


class Pair(wiring.Component):
    """Two lanes, and a module that reads a signal of its parent which is no port."""

    i: In(data.ArrayLayout(signed(4), 3))
    o: Out(data.ArrayLayout(signed(8), 2))

    def elaborate(self, platform):
        m = Module()
        hidden = Signal(2)
        m.d.sync += hidden.eq(hidden + 1)
        m.submodules.inner = inner = Module()
        taken = Signal(2)
        inner.d.comb += taken.eq(hidden ^ 1)
        for index in range(2):
            m.submodules[f"lane_{index}"] = lane = Lane()
            m.d.comb += [lane.a.eq(self.i[index]), lane.b.eq(self.i[index + 1]), self.o[index].eq(lane.total + taken)]
        return m


class Mixed(wiring.Component):
    """What a hierarchy can hold: shared and distinct lanes, wrapped ones, loose ends, a memory, split drivers."""

    i: In(stream.Signature(data.ArrayLayout(signed(4), 6)))
    o: Out(stream.Signature(data.StructLayout({"x": signed(8), "y": signed(8), "z": data.ArrayLayout(signed(8), 8)})))

    def elaborate(self, platform):
        m = Module()
        values, out = self.i.payload, self.o.payload
        m.submodules.pair_0, m.submodules.pair_1 = pairs = Pair(), Pair()
        for index, pair in enumerate(pairs):
            m.d.comb += [pair.i[k].eq(values[index + k]) for k in range(3)]
            m.d.comb += [out.z[2 * index + k].eq(pair.o[k]) for k in range(2)]
        m.submodules.slow = EnableInserter(self.i.valid)(slow := Lane())
        m.submodules.cleared = ResetInserter(self.o.ready)(cleared := Lane())
        m.submodules.other = other = Lane(step=2)
        m.submodules.loose = loose = Lane()
        m.d.comb += [lane.a.eq(values[4]) for lane in (slow, cleared, other)]
        m.d.comb += [lane.b.eq(values[5]) for lane in (slow, cleared)] + [other.b.eq(-3)]
        m.d.comb += [loose.a.eq(values[0]), out.z[7].eq(loose.total)]  # b is left open, spare unused
        m.d.comb += [out.z[4 + k].eq(lane.total) for k, lane in enumerate((slow, cleared, other))]
        for field, value in (("x", values[1] + values[2]), ("y", values[3])):  # bits of one port from two modules
            m.submodules[f"drive_{field}"] = driver = Module()
            driver.d.sync += out[field].eq(value)
        m.submodules.store = store = memory.Memory(shape=1, depth=4, init=[1, 0, 1, 1])
        read, write = store.read_port(), store.write_port()
        m.d.comb += [read.addr.eq(values[0]), write.addr.eq(values[1]), write.en.eq(self.i.valid)]
        m.d.comb += [write.data.eq(values[2]), self.o.valid.eq(read.data), self.i.ready.eq(self.o.ready)]
        return m


def prove_equal(component, other, folder) -> None:
    """Proof by induction that our text of one component and Amaranth's of another are the same machine."""
    (folder / "ours.v").write_text(emit_verilog(component, "ours").text)
    reference = verilog.convert(other, name="reference", emit_src=False, strip_internal_attrs=True)
    names = dict.fromkeys(re.findall(r"\b\w+__\w+\b", reference.split("endmodule")[0]))
    for name in names:
        reference = re.sub(rf"\b{name}\b", name.replace("__", "_"), reference)
    (folder / "reference.v").write_text(reference)
    run_yosys(
        f"""
        tee -q read_verilog {folder}/ours.v {folder}/reference.v
        tee -q proc
        tee -q flatten
        tee -q memory -nomap
        tee -q memory_map
        tee -q opt -full
        tee -q miter -equiv -make_assert -flatten reference ours miter
        tee -q hierarchy -top miter
        tee -q opt -full
        sat -verify -prove-asserts -tempinduct -set-at 1 in_rst 1 -seq 2 -maxsteps 12 miter
        """
    )


@pytest.mark.parametrize("component", [Lane, Pair, Mixed])
def test_same_machine_as_amaranth_writes(component, tmp_path):
    prove_equal(component(), component(), tmp_path)


def test_proof_finds_a_difference(tmp_path):
    with pytest.raises(RuntimeError, match="proof did fail"):
        prove_equal(Lane(), Lane(step=2), tmp_path)


def test_equal_components_share_a_module():
    emitted = emit_verilog(Mixed(), "mixed")
    kinds = [record.component for record in emitted.modules.values()]
    assert kinds.count("Pair") == 1
    assert emitted.instances["mixed_pair"] == 2
    plain = [name for name, record in emitted.modules.items() if record.component == "Lane"]
    # Lane(step=1), Lane(step=2), and the ones inside EnableInserter and ResetInserter.
    assert len(plain) == 4
    assert max(emitted.instances[name] for name in plain) == 5
    assert emitted.text.count("\nmodule ") == len(re.findall(r"^endmodule", emitted.text, re.M))


def test_fingerprints_change_nothing_but_time(monkeypatch):
    text, found = emit_verilog(Mixed(), "mixed").text, []
    monkeypatch.setattr(hierarchy, "fingerprint", lambda *given: found.append(fingerprint(*given)))
    assert emit_verilog(Mixed(), "mixed").text == text
    described = [description for description in found if description is not None]
    assert len(described) == 12 and len(set(described)) == 6  # pairs and their lanes are equal; the top holds a memory


def test_slices_and_constants_do_not_change_a_lane():
    class Row(wiring.Component):
        i: In(64)
        o: Out(8 * 8)

        def elaborate(self, platform):
            m = Module()
            for k in range(8):
                m.submodules[f"lane_{k}"] = lane = Lane()
                m.d.comb += [lane.a.eq(self.i[4 * k :]), self.o[8 * k : 8 * k + 8].eq(lane.total)]
                m.d.comb += lane.b.eq(k if k % 2 else self.i[4 * k + 4 :])
            return m

    emitted = emit_verilog(Row(), "row")
    assert emitted.instances == {"row": 1, "row_lane": 8}
    assert emitted.modules["row_lane"].ports == [
        ("clk", "input", 1), ("rst", "input", 1), ("a", "input", 4), ("b", "input", 4),
        ("total", "output", 8), ("spare", "output", 4),
    ]  # fmt: skip


def test_module_names_are_plain_and_unique():
    emitted = emit_verilog(Mixed(), "mixed")
    names = re.findall(r"^module (\S+)\(", emitted.text, re.M)
    assert len(set(names)) == len(names)
    assert names[0] == "mixed"
    assert all(re.fullmatch(r"mixed(_[a-z0-9_]+)?", name) for name in names)
    used = set(re.findall(r"^  (\S+) \w+ \($", emitted.text, re.M))
    assert used <= set(names)


def test_ports_are_renamed_and_ordered():
    emitted = emit_verilog(Lane(), "lane", ports={"clk": "aclk", "rst": "aresetn", "a": "s_a"}, reset_active_low=True)
    assert emitted.ports == [
        ("aclk", "input", 1), ("aresetn", "input", 1), ("s_a", "input", 4), ("b", "input", 4),
        ("total", "output", 8), ("spare", "output", 4),
    ]  # fmt: skip
    assert "module lane(aclk, aresetn, s_a, b, total, spare);" in emitted.text
    assert "assign rst = ~ aresetn;" in emitted.text


def test_own_clock_domains_are_kept():
    class Wrapped(wiring.Component):
        clock: In(1)
        o: Out(signed(8))

        def elaborate(self, platform):
            m = Module()
            m.domains.sync = domain = ClockDomain(reset_less=True)
            m.d.comb += domain.clk.eq(self.clock)
            m.submodules.lane = lane = Lane()
            m.d.comb += self.o.eq(lane.total)
            return m

    emitted = emit_verilog(Wrapped(), "wrapped")
    assert [port for port, _, _ in emitted.ports] == ["clock", "o"]
    assert [port for port, _, _ in emitted.modules["wrapped_lane"].ports] == ["clk", "a", "b", "total", "spare"]


def test_header_and_map(tmp_path):
    emitted = emit_verilog(Mixed(), "mixed", header=["configuration: trio\nhash: 12ab", 7])
    assert emitted.text.splitlines()[1:4] == ["// configuration: trio", "// hash: 12ab", "// 7"]
    assert emitted.text.startswith("// mixed: generated Verilog (amaranth ")
    emitted.write_map(tmp_path / "map.json")
    written = json.loads((tmp_path / "map.json").read_text())
    assert written["ports"][2] == {"name": "i_payload", "direction": "input", "width": 24}
    assert written["modules"]["mixed_pair"]["instances"] == 2
    assert written["modules"]["mixed_pair"]["children"]["mixed_lane"] == 2


def test_hand_written_modules_come_along(tmp_path):
    source = tmp_path / "counter.v"
    source.write_text("module top_counter(input clk, output [3:0] o);\nendmodule\n")

    class Counter(wiring.Component):
        o: Out(4)
        VERILOG_FILES = {"top_counter": source, "top_timer": tmp_path / "timer.v"}

        def elaborate(self, platform):
            m = Module()
            m.submodules.counter = Instance("top_counter", i_clk=Signal(), o_o=self.o)
            return m

    class Top(wiring.Component):
        o: Out(8)

        def elaborate(self, platform):
            m = Module()
            m.submodules.low, m.submodules.high = low, high = Counter(), Counter()
            m.d.comb += self.o.eq(low.o << 4 | high.o)
            return m

    emitted = emit_verilog(Top(), "top", extra_files=[source])
    assert emitted.extra_files == (source,)
    assert emitted.instances == {"top": 1, "top_counter_1": 2, "top_counter": 2}  # ours makes way for the file's
    assert emitted.map()["external"] == {"top_counter": 2}
    files = emitted.write(tmp_path / "out")
    assert [file.name for file in files] == ["top.v", "counter.v"]
    assert files[1].read_text() == source.read_text()
    assert (tmp_path / "out" / "top.json").exists()


def test_designs_with_modules_of_their_own(tmp_path):
    """Hand-written modules under other names: in the text, in the map and in their own file."""
    emitted = emit_verilog(Ram(8, 4), "low", own_names=True)
    assert emitted.map()["external"] == {"low_ram": 1} and emitted.map()["extra_files"] == ["low_ram.v"]
    files = emitted.write(tmp_path)
    assert [file.name for file in files] == ["low.v", "low_ram.v"]
    files += emit_verilog(Ram(8, 8), "high", own_names=True).write(tmp_path)
    modules = re.findall(r"^module (\w+)", "".join(file.read_text() for file in files), re.M)
    assert sorted(modules) == ["high", "high_ram", "low", "low_ram"]
    assert files[1].read_text().replace("low_ram", RAM_MODULE) == RAM_SOURCE.read_text()
    run_yosys(f"read_verilog {' '.join(map(str, files))}\nhierarchy -check")


def test_text_does_not_depend_on_the_hash_seed():
    program = "from tests.hdl.emit.test_verilog import *\nprint(emit_verilog(Mixed(), 'mixed', header=['x']).text)"
    texts = set()
    for seed in ("1", "2", "3"):
        environment = os.environ | {"PYTHONHASHSEED": seed}
        run = [sys.executable, "-c", program]
        texts.add(subprocess.run(run, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(texts) == 1
    assert next(iter(texts)).strip() == emit_verilog(Mixed(), "mixed", header=["x"]).text.strip()


def test_names_are_checked():
    for name in ("3d", "a-b", "", "design"):
        for check in (check_module_name, partial(emit_verilog, Lane())):
            with pytest.raises(ValueError, match=f"name must be a Verilog identifier, and no keyword, not '{name}'"):
                check(name)
    check_module_name("Lane_3")
    with pytest.raises(ValueError, match="used once, not 'b'"):
        emit_verilog(Lane(), "lane", ports={"a": "b"})
    with pytest.raises(ValueError, match=r"ports names \['c'\]"):
        emit_verilog(Lane(), "lane", ports={"c": "d"})


@pytest.mark.parametrize(
    "name, result", [("RMACRows", "rmac_rows"), ("AxiReader", "axi_reader"), ("Log2Quantizer", "log2_quantizer")]
)
def test_snake_case(name, result):
    assert snake_case(name) == result
