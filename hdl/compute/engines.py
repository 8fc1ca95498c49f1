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
    control(config): once. Members `units` (array of Out(IssuePort())), `reads` (Out(requests(...))) and `control`
    (Out(a layout)). It decides when a read is granted; from then on operands and rows come at fixed distances
    (`hdl.compute.timing`), and it says when a row does.
    path(config): in each core. Members `control` (In(the layout), a cycle later), `operands` (In(operands(...))) and
    `rows` (array of Out(RowPort()), a member for each unit): rows are never refused.
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


_OF = {engine.unit: engine for engine in ENGINES["trio"]}
# In order of priority at the buffers' read ports. R-MAC and MAT are one pipeline, because a
# joint convolution drives both with the same features.
PIPELINES = {"trio": (Pipeline((_OF[Unit.RMAC], _OF[Unit.MAT]), PairControl, PairPath),)}


def pipelines_of(config: AcceleratorConfig) -> tuple[Pipeline, ...]:
    """The pipelines of a configuration."""
    return PIPELINES[config.family]


def computing(pipelines: Sequence[Pipeline]) -> tuple[Engine, ...]:
    """All units of some pipelines, in order."""
    return tuple(engine for pipeline in pipelines for engine in pipeline.engines)
