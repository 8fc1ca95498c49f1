"""Hierarchies of modules as one graph of timing."""

from tests.flow.silicon.netlists import lut, module, netlist, register
from triovit.flow.silicon.delays import ULTRASCALE_PLUS
from triovit.flow.silicon.graph import TimingGraph
from triovit.flow.silicon.paths import LongestPaths
from triovit.flow.silicon.ultrascale import describe

NET, LUT, OUT, SETUP = 0.35, 0.10, 0.08, 0.03


def paths(tmp_path, **modules):
    """(start, end) -> (ns, LUTs' names, instances passed) of all families of paths."""
    graph = TimingGraph(netlist(tmp_path, **modules), describe, ULTRASCALE_PLUS)
    return {
        (path.start, path.end): (round(path.delay, 6), [step.name for step in path.steps], path.through)
        for path in LongestPaths(graph).families(100)
    }


def ns(luts):
    return round(OUT + luts * (NET + LUT) + NET + SETUP, 6)


def test_paths_cross_instances(tmp_path):
    """From a register in one instance through a LUT in another to a register in a third, two levels down."""
    found = paths(
        tmp_path,
        top=module(
            cells={
                "first": ("launcher", {"q": [5]}),
                "logic": ("logic", {"a": [5], "y": [6]}),
                "second": ("holder", {"d": [6]}),
                "third": ("logic", {"a": [6], "y": [7]}),
                "own": register(7, 8),
            },
            between=[6],
        ),
        launcher=module(outputs={"q": [3]}, cells={"r": register("0", 3)}),
        logic=module({"a": [2]}, {"y": [4]}, {"l": lut([2], 4)}),
        holder=module({"d": [2]}, cells={"inner": ("keeper", {"d": [2]})}),
        keeper=module({"d": [9]}, cells={"r": register(9, 7)}, kept=[7]),
    )
    assert found == {
        ("first.q", "second.inner.kept"): (ns(1), ["between"], ["logic"]),
        ("first.q", "own"): (ns(2), ["between", ""], ["logic", "third"]),
    }


def test_ports_count_as_registers(tmp_path):
    top = module({"i": [2, 3]}, {"o": [5], "same": [3]}, {"l": lut([2, "0"], 5)})
    assert paths(tmp_path, top=top) == {
        ("port i[0]", "port o"): (ns(1), ["o"], []),
        ("port i[1]", "port same"): (ns(0), [], []),
    }


def test_nets_that_a_module_hands_through(tmp_path):
    """An output that is an input, and two outputs that are one: joined without delay."""
    found = paths(
        tmp_path,
        top=module(
            cells={
                "launch": register("0", 3),
                "through": ("wires", {"i": [3], "o": [4], "p": [5], "q": [6], "zero": [9]}),
                "a": register(4, 20),
                "b": register(5, 21),
                "c": register(6, 22),
                "d": register(9, 23),
            },
            a=[20],
            b=[21],
            c=[22],
        ),
        wires=module({"i": [2]}, {"o": [2], "p": [7], "q": [7], "zero": ["0"]}, {"r": register("1", 7)}),
    )
    assert {key: delay for key, (delay, _, _) in found.items()} == {
        ("launch", "a"): ns(0),
        ("through.p", "b"): ns(0),
        ("through.p", "c"): ns(0),
    }


def test_constants_and_open_ports(tmp_path):
    """A port at a constant carries no path, one that is left open none either, and nothing is mixed up by them."""
    found = paths(
        tmp_path,
        top=module(
            cells={
                "launch": register("0", 3),
                "x": ("part", {"a": ["1"], "b": [3], "y": [4]}),
                "y": ("part", {"b": ["x"], "y": [5]}),
                "capture": register(4, 20),
                "still": register(5, 21),
            }
        ),
        part=module({"a": [2], "b": [3]}, {"y": [4], "open": [5]}, {"l": lut([2, 3], 4), "m": lut([2], 5)}),
    )
    assert found == {("launch", "capture"): (ns(1), [""], ["x"])}


def test_instances_have_nodes_of_their_own(tmp_path):
    """Two instances of a kind: a path in one is none in the other, and each register has its path's name."""
    shift = module({"d": [2]}, {"q": [4]}, {"r": register(2, 3), "s": register(3, 4)}, first=[3])
    graph = TimingGraph(
        netlist(tmp_path, top=module(cells={"x": ("shift", {}), "y": ("shift", {})}), shift=shift),
        describe,
        ULTRASCALE_PLUS,
    )
    assert graph.places == ["", "x", "y"]
    assert [graph.start_name(k) for k in range(4)] == ["x.first", "x.q", "y.first", "y.q"]
    assert [graph.end_name(k) for k in range(4)] == [
        ("x.first", "D"), ("x.q", "D"), ("y.first", "D"), ("y.q", "D"),
    ]  # fmt: skip
    names = [graph.node_name(node) for node in range(graph.nodes)]
    assert names.count("x.d") == names.count("y.first") == 1 and names[0] == ""
    assert len(LongestPaths(graph).delays) == 2
