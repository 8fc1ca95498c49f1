"""What the compute units are made of: the table that `ComputeUnits` and `Core` are built from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from amaranth.lib import wiring

from triovit.hdl.compute.pair_control import PairControl
from triovit.hdl.compute.pair_path import PairPath
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.isa.engines import ENGINES, Engine, Space
from triovit.hdl.isa.names import Unit


@dataclass(frozen=True)
class Pipeline:
    """Units that share the way from instruction to rows of psums, and the two components it is made of.

    engines: the units, in order of priority.
    control(config): once. Members `units` (array of Out(IssuePort())), `reads` (Out(requests(...))), `control` (Out(a
    layout)) and `status` (In(a layout)); `latency`, cycles from an accepted instruction to its first beat at an engine.
    path(config): in each core. Members `control` and `status` of the same layouts, the other way round, `operands`
    (In(operands(...))) and `rows`, an array of Out(stream of `row_layout`), a member for each name in the engines'
    `rows`, in order. `status` and the rows' flags are those of core 0; all cores are in the same state.
    """

    engines: tuple[Engine, ...]
    control: Callable[[AcceleratorConfig], wiring.Component]
    path: Callable[[AcceleratorConfig], wiring.Component]

    @property
    def name(self) -> str:
        return "_".join(engine.unit.name.lower() for engine in self.engines)

    @property
    def reads(self) -> frozenset[Space]:
        """Spaces that its units read."""
        return frozenset().union(*(engine.reads for engine in self.engines))

    @property
    def rows(self) -> int:
        return sum(len(engine.rows) for engine in self.engines)


_OF = {engine.unit: engine for engine in ENGINES["trio"]}
# In order of priority at the buffers' read ports and at post-processing. R-MAC and MAT are one pipeline, because a
# joint convolution drives both with the same features.
PIPELINES = {"trio": (Pipeline((_OF[Unit.RMAC], _OF[Unit.MAT]), PairControl, PairPath),)}


def pipelines_of(config: AcceleratorConfig) -> tuple[Pipeline, ...]:
    """The pipelines of a configuration."""
    return PIPELINES[config.family]


def computing(pipelines: Sequence[Pipeline]) -> tuple[Engine, ...]:
    """All units of some pipelines, in order."""
    return tuple(engine for pipeline in pipelines for engine in pipeline.engines)
