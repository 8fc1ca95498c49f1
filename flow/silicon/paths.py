"""Longest paths of a timing graph: when signals arrive, and which families of paths are the slowest."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from triovit.flow.silicon.delays import Stage
from triovit.flow.silicon.graph import TimingGraph
from triovit.golden.errors import Status, TriovitError

LOOP_NAMES = 8  # nets of a loop that its error names


class CombinationalLoop(TriovitError, RuntimeError):
    """A design whose outputs depend on themselves within a cycle; the message names nets of the loop."""

    status = Status.FAILED


@dataclass(frozen=True)
class Step:
    """A net on a path: its name (empty where synthesis has made it), when it is there (ns), what led to it."""

    name: str
    arrival: float
    stage: Stage
    place: str


@dataclass(frozen=True)
class PathFamily:
    """Paths between the same two kinds of places, such as the bits of two words: the slowest stands for all.

    delay: ns, from clock to clock. pin: of the end. endpoints: of the family, whatever their delay.
    """

    delay: float
    start: str
    end: str
    pin: str
    endpoints: int
    steps: tuple[Step, ...]

    def count(self, stage: Stage) -> int:
        """How many of a stage the path passes."""
        return sum(step.stage is stage for step in self.steps)

    @property
    def through(self) -> list[str]:
        """Instances that the path passes, in order."""
        places = [step.place for step in self.steps]
        return [place for k, place in enumerate(places) if place and (k == 0 or place != places[k - 1])]


class LongestPaths:
    """Arrival times of a graph, propagated front by front. Raises CombinationalLoop."""

    def __init__(self, graph: TimingGraph):
        self._graph = graph
        self._arrival = np.full(graph.nodes, -np.inf)
        np.maximum.at(self._arrival, graph.start_node, graph.start_delay)
        self._arrival[0] = -np.inf  # constants never change
        self._start = np.full(graph.nodes, -1)
        self._start[graph.start_node] = np.arange(len(graph.start_node))
        started = self._arrival.copy()
        self._propagate()
        late = self._arrival[graph.source] + graph.delay
        critical = np.flatnonzero((late == self._arrival[graph.target]) & (late > started[graph.target]))
        self._before = np.full(graph.nodes, -1)  # the arc that a node waits for
        self._before[graph.target[critical]] = critical
        total = self._arrival[graph.end_node] + graph.end_delay
        reached = np.flatnonzero(np.isfinite(total))
        self._ends = reached[np.argsort(-total[reached], kind="stable")]
        self.delays = total[self._ends]  # of all endpoints that anything reaches, the slowest first, ns

    def _propagate(self) -> None:
        graph = self._graph
        order = np.argsort(graph.source, kind="stable")
        first = np.searchsorted(graph.source[order], np.arange(graph.nodes + 1))
        missing = np.bincount(graph.target, minlength=graph.nodes)
        front = np.flatnonzero(missing == 0)
        while len(front):
            counts = first[front + 1] - first[front]
            skipped = np.cumsum(counts) - counts
            arcs = order[np.repeat(first[front] - skipped, counts) + np.arange(counts.sum())]
            targets = graph.target[arcs]
            np.maximum.at(self._arrival, targets, self._arrival[graph.source[arcs]] + graph.delay[arcs])
            np.subtract.at(missing, targets, 1)
            front = np.unique(targets[missing[targets] == 0])
        if missing.any():
            raise CombinationalLoop(f"the design must have no combinational loop; one passes {self._loop(missing)}")

    def _loop(self, missing: np.ndarray) -> str:
        """Names of nets on a loop: going back from a node that waits, over nodes that wait too, ends in one."""
        graph = self._graph
        waiting = np.flatnonzero((missing[graph.source] > 0) & (missing[graph.target] > 0))
        before = dict(zip(graph.target[waiting].tolist(), graph.source[waiting].tolist(), strict=True))
        node, seen = next(iter(before)), {}
        while node not in seen:
            seen[node] = len(seen)
            node = before[node]
        loop = [graph.node_name(found) for found in list(seen)[seen[node] :]]
        return ", ".join(list(dict.fromkeys(name for name in loop if name))[:LOOP_NAMES]) or "nets without names"

    # ---- results ----
    @property
    def worst(self) -> float:
        """Delay of the longest path in ns; 0 where there is none."""
        return float(self.delays[0]) if len(self.delays) else 0.0

    def above(self, clock: float) -> int:
        """Endpoints whose delay is larger than a clock's period, ns."""
        return int(np.count_nonzero(self.delays > clock + 1e-9))

    def histogram(self, clock: float, width: float = 0.5) -> dict[float, int]:
        """Endpoints by slack: lower edge of each class of slacks in ns -> how many, the worst first."""
        classes = np.floor((clock - self.delays) / width + 1e-9).astype(int)
        return {round(k * width, 6): n for k, n in sorted(Counter(classes.tolist()).items())}

    def families(self, most: int) -> list[PathFamily]:
        """The slowest families of paths, at most so many, the slowest first."""
        graph = self._graph
        if not len(self._ends):
            return []
        starts, ends = self._start[self._origins(graph.end_node[self._ends])], self._ends
        end_names = [name for name, _ in graph.end_names]
        keys = np.stack(
            [
                *_codes(graph.places, graph.start_names, graph.start_place[starts], graph.start_label[starts]),
                *_codes(graph.places, end_names, graph.end_place[ends], graph.end_label[ends]),
            ],
            axis=1,
        )
        _, firsts, counts = np.unique(keys, axis=0, return_index=True, return_counts=True)
        slowest = np.argsort(firsts)[:most]  # ends are in order of their delay
        return [self._family(int(firsts[k]), int(counts[k])) for k in slowest]

    def _origins(self, nodes: np.ndarray) -> np.ndarray:
        """Where the longest paths to nodes start: pointers to the node before, doubled until they stand."""
        graph = self._graph
        pointer, waits = np.arange(graph.nodes), self._before >= 0
        pointer[waits] = graph.source[self._before[waits]]
        while not np.array_equal(following := pointer[pointer], pointer):
            pointer = following
        return pointer[nodes]

    def _family(self, position: int, count: int) -> PathFamily:
        graph, end = self._graph, int(self._ends[position])
        node, steps = int(graph.end_node[end]), []
        while (arc := int(self._before[node])) >= 0:
            place = graph.places[graph.arc_place[arc]]
            stage = Stage(int(graph.stage[arc]))
            steps.append(Step(graph.node_name(node), float(self._arrival[node]), stage, place))
            node = int(graph.source[arc])
        name, pin = graph.end_name(end)
        start = graph.start_name(int(self._start[node]))
        return PathFamily(float(self.delays[position]), start, name, pin, count, tuple(reversed(steps)))


def family(name: str) -> str:
    """The name of all that differ in numbers only."""
    return re.sub(r"\d+", "#", name)


def _codes(places: list[str], names: list[str], place: np.ndarray, label: np.ndarray) -> list[np.ndarray]:
    """Numbers of the families of places and of names within them."""
    codes = []
    for texts, which in ((places, place), (names, label)):
        known: dict[str, int] = {}
        numbers = np.array([known.setdefault(family(text), len(known)) for text in texts])
        codes.append(numbers[which])
    return codes
