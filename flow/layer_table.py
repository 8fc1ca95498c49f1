"""Cycles and utilization of a network's layers after a run on the RTL."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from triovit.compiler.memory.program import CompiledProgram
from triovit.flow.tables import Column
from triovit.golden.integer.network import IntegerNetwork
from triovit.hdl.isa.names import Unit
from triovit.sim.rtl.machine import MachineRun

COLUMNS: list[Column] = [
    ("layer", "left"),
    ("operation", "left", 0),
    ("output", "right", 1),
    ("MACs", "right", 2),
    ("cycles", "right"),
    ("utilization", "right", 3),
    ("match", "left"),
]


@dataclass
class LayerRow:
    """One layer in the report.

    macs: of one image. cycles: from the last result of the layer before to this one's. utilization: per cent of the
    multipliers of a core. pipelined_with: the next layer, when both run at the same time; cycles and utilization of
    the two then stand with the next one, here they are None. match: all its tensors are the integer model's.
    """

    layer: str
    operation: str
    shape: str
    macs: int
    cycles: int | None
    utilization: float | None
    pipelined_with: str | None
    match: bool

    def cells(self, names: dict[str, str]) -> list:
        """What stands in the columns of the table; names: what layers are called there."""
        measured = ["with next", ""] if self.pipelined_with else [self.cycles, f"{self.utilization:.1f} %"]
        return [names[self.layer], self.operation, self.shape, self.macs, *measured, "yes" if self.match else "NO"]


def pipelined(program: CompiledProgram) -> dict[str, str]:
    """Layers that are computed at the same time as the one after them: layer -> next layer."""
    first, last = {}, {}
    for index, instruction in enumerate(program.instructions):
        if instruction.unit in (Unit.RMAC, Unit.MAT):
            layer = program.layer_of(index)
            first.setdefault(layer, index)
            last[layer] = index
    order = [layer for layer in program.layers if layer in first]
    return {a: b for a, b in itertools.pairwise(order) if first[b] < last[a]}


def layer_rows(network: IntegerNetwork, program: CompiledProgram, run: MachineRun, bad: set[str]) -> list[LayerRow]:
    """One row per layer in execution order; `bad` names the layers that do not match."""
    config, macs, shapes = program.config, network.macs(), network.shapes()
    partners, rows = pipelined(program), []
    pending_macs = pending_cycles = 0  # of layers whose figures stand with the next one
    for node in network.nodes:
        cycles = pending_cycles + run.layer_cycles.get(node.name, 0)
        work = pending_macs + macs[node.name]
        partner = partners.get(node.name)
        pending_macs, pending_cycles = (work, cycles) if partner else (0, 0)
        rows.append(
            LayerRow(
                node.name,
                node.label,
                "x".join(map(str, shapes[node.name])),
                macs[node.name],
                None if partner else cycles,
                None if partner else utilization(config, work, cycles),
                partner,
                node.name not in bad,
            )
        )
    return rows


def utilization(config, macs: int, cycles: int) -> float:
    """Per cent of a core's multipliers that did useful work."""
    return 100 * macs * config.cores / (cycles * config.multipliers) if cycles else 0.0
