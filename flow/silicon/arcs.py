"""What a kind of module does to signals in time: arcs between its nodes, where paths start and where they end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from triovit.flow.silicon.delays import Stage
from triovit.flow.silicon.netlist import Bit, Module


@dataclass
class Arcs:
    """Nodes are the bits of a module, and behind them places inside of cells (`inner`).

    arcs: (from, to, ns, stage). starts: (node, ns from the clock, name). ends: (node, ns to the clock, name, pin).
    Constants have no timing and are left out.
    """

    size: int
    arcs: list[tuple[int, int, float, int]] = field(default_factory=list)
    starts: list[tuple[int, float, str]] = field(default_factory=list)
    ends: list[tuple[int, float, str, str]] = field(default_factory=list)

    def inner(self) -> int:
        """A new node inside of a cell."""
        self.size += 1
        return self.size - 1

    def arc(self, sources: Iterable[Bit], targets: Iterable[Bit], delay: float, stage: Stage) -> None:
        """From each source to each target."""
        to = [target for target in targets if isinstance(target, int)]
        self.arcs += [(source, target, delay, stage) for source in sources if isinstance(source, int) for target in to]

    def start(self, nodes: Iterable[Bit], delay: float, name: str) -> None:
        self.starts += [(node, delay, name) for node in nodes if isinstance(node, int)]

    def end(self, nodes: Iterable[Bit], delay: float, name: str, pin: str) -> None:
        self.ends += [(node, delay, name, pin) for node in nodes if isinstance(node, int)]


class Template:
    """Arcs of a kind of module as arrays, and its instances: made once, placed many times."""

    def __init__(self, module: Module, arcs: Arcs):
        self.module, self.size = module, arcs.size
        columns = list(zip(*arcs.arcs, strict=True)) or [()] * 4
        self.source, self.target = (np.array(column, dtype=np.int64) for column in columns[:2])
        self.delay, self.stage = np.array(columns[2], dtype=float), np.array(columns[3], dtype=np.int8)
        self.start_node = np.array([node for node, _, _ in arcs.starts], dtype=np.int64)
        self.start_delay = np.array([delay for _, delay, _ in arcs.starts], dtype=float)
        self.end_node = np.array([node for node, _, _, _ in arcs.ends], dtype=np.int64)
        self.end_delay = np.array([delay for _, delay, _, _ in arcs.ends], dtype=float)
