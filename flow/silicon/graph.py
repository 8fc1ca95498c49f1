"""All arcs of a design in one graph: the arcs of each kind of module, placed for every instance."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from triovit.flow.silicon.arcs import Arcs, Template
from triovit.flow.silicon.delays import Delays, Stage
from triovit.flow.silicon.netlist import Cell, Module, Netlist

Describe = Callable[[Module, Delays], Arcs]


class TimingGraph:
    """Nodes are bits of nets, numbered over all instances; node 0 is every constant.

    Arrays of arcs: source, target, delay (ns), stage, arc_place (instance). Of starts: start_node, start_delay,
    start_place, start_label (in start_names); of ends likewise. places: path of each instance, "" for the top module.

    Ports of the top module count as registers outside: inputs start paths, outputs end them.
    """

    def __init__(self, netlist: Netlist, describe: Describe, delays: Delays):
        self.places: list[str] = []
        self._names: list[dict[int, str]] = []  # of the nets of each place
        self._firsts: list[int] = []  # its first own node
        self._owns: list[np.ndarray] = []  # bits that are its own nodes, in order
        self.nodes = 1
        self._parts: dict[str, list[np.ndarray]] = {}
        arcs = {module.name: describe(module, delays) for module in netlist.below()}
        _add_ports(netlist.modules[netlist.top], arcs[netlist.top], delays)
        self._templates = {name: Template(netlist.modules[name], arcs[name]) for name in arcs}
        self.start_names = [name for part in arcs.values() for _, _, name in part.starts]
        self.end_names = [(name, pin) for part in arcs.values() for _, _, name, pin in part.ends]
        self._first_labels = dict(zip(arcs, _running_sums(arcs.values()), strict=True))
        self._place(netlist.top, "", np.full(self._templates[netlist.top].size, -1))
        found = {name: np.concatenate(parts) for name, parts in self._parts.items()}
        self.source, self.target, self.arc_place = found["source"], found["target"], found["arc_place"]
        self.delay, self.stage = found["delay"], found["stage"]
        self.start_node, self.start_delay = found["start_node"], found["start_delay"]
        self.start_place, self.start_label = found["start_place"], found["start_label"]
        self.end_node, self.end_delay = found["end_node"], found["end_delay"]
        self.end_place, self.end_label = found["end_place"], found["end_label"]

    # ---- names ----
    def start_name(self, k: int) -> str:
        """Register, memory or port where start k is, with its path."""
        return _join(self.places[self.start_place[k]], self.start_names[self.start_label[k]])

    def end_name(self, k: int) -> tuple[str, str]:
        """(Register, memory or port of end k, its pin)."""
        name, pin = self.end_names[self.end_label[k]]
        return _join(self.places[self.end_place[k]], name), pin

    def node_name(self, node: int) -> str:
        """Name of a net's bit as in the Verilog; empty where synthesis has made it."""
        place = bisect_right(self._firsts, node) - 1
        if place < 0:
            return ""
        bit = int(self._owns[place][node - self._firsts[place]])
        name = self._names[place].get(bit, "")
        return _join(self.places[place], name) if name else ""

    # ---- building ----
    def _place(self, kind: str, path: str, node: np.ndarray) -> None:
        """Place an instance. node: of each of its bits, -1 where the node is its own."""
        template, place = self._templates[kind], len(self.places)
        first_start, first_end = self._first_labels[kind]
        own = np.flatnonzero(node < 0)
        node[own] = np.arange(self.nodes, self.nodes + len(own))
        self.places.append(path)
        self._names.append(template.module.names)
        self._firsts.append(self.nodes)
        self._owns.append(own)
        self.nodes += len(own)
        arrays = {
            "source": node[template.source],
            "target": node[template.target],
            "delay": template.delay,
            "stage": template.stage,
            "arc_place": np.full(len(template.source), place),
            "start_node": node[template.start_node],
            "start_delay": template.start_delay,
            "start_place": np.full(len(template.start_node), place),
            "start_label": first_start + np.arange(len(template.start_node)),
            "end_node": node[template.end_node],
            "end_delay": template.end_delay,
            "end_place": np.full(len(template.end_node), place),
            "end_label": first_end + np.arange(len(template.end_node)),
        }
        self._add(arrays)
        for cell in template.module.instances:
            self._place(cell.kind, _join(path, cell.name), self._inside(cell, node, place))

    def _inside(self, cell: Cell, outer: np.ndarray, place: int) -> np.ndarray:
        """Nodes of an instance's bits that stand at its ports; a bit at two ports joins two nets, by an arc of 0 ns."""
        template = self._templates[cell.kind]
        node = np.full(template.size, -1)
        joined = []
        for port in sorted(template.module.ports, key=lambda port: not port.is_input):
            for bit, at in zip(port.bits, cell.bits(port.name), strict=False):  # open ports have no bits
                if not isinstance(bit, int):
                    continue
                beyond = int(outer[at]) if isinstance(at, int) else 0
                if node[bit] < 0:
                    node[bit] = beyond
                elif beyond and node[bit] != beyond:
                    joined.append((node[bit], beyond))
        if joined:
            sources, targets = np.array(joined).T
            zeros = np.zeros(len(joined))
            self._add(
                {
                    "source": sources,
                    "target": targets,
                    "delay": zeros,
                    "stage": np.full(len(joined), Stage.WIRE),
                    "arc_place": np.full(len(joined), place),
                }
            )
        return node

    def _add(self, arrays: dict[str, np.ndarray]) -> None:
        for name, array in arrays.items():
            self._parts.setdefault(name, []).append(array)


def _running_sums(parts: Iterable[Arcs]) -> Iterator[tuple[int, int]]:
    """Starts and ends before each of the parts."""
    starts = ends = 0
    for part in parts:
        yield starts, ends
        starts, ends = starts + len(part.starts), ends + len(part.ends)


def _add_ports(module: Module, arcs: Arcs, delays: Delays) -> None:
    for port in module.ports:
        for k, bit in enumerate(port.bits):
            name = f"port {port.name}" if len(port.bits) == 1 else f"port {port.name}[{k}]"
            if port.is_input:
                arcs.start([bit], delays.register_out, name)
            else:
                arcs.end([bit], delays.net + delays.register_setup, name, "")


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
