"""Timing of a DSP48E2: pre-adder, multiplier and adder with the registers that its parameters switch on.

    A, D -> [A, D] -> pre-adder -> [AD] -+
    B ----> [B] ------------------------ multiplier -> [M] -> adder -> [P]
    C ----> [C] ------------------------------------------------+
    PCIN -------------------------------------------------------+

Source: AMD UG579, UltraScale Architecture DSP Slice.
"""

from __future__ import annotations

from collections.abc import Iterable

from triovit.flow.silicon.arcs import Arcs
from triovit.flow.silicon.delays import Delays, Stage
from triovit.flow.silicon.netlist import Bit, Cell, Module

RESULTS = ("P", "PCOUT", "CARRYOUT", "CARRYCASCOUT", "MULTSIGNOUT", "PATTERNDETECT", "PATTERNBDETECT", "XOROUT")
CONTROLS = ("OPMODE", "ALUMODE", "CARRYIN", "CARRYINSEL")  # of the adder


def describe_dsp(cell: Cell, module: Module, delays: Delays, into: Arcs) -> None:
    """Arcs of one DSP: a path ends at each register that is switched on, and starts anew behind it."""
    results = cell.bits("P") if "$" in cell.name else ()  # the name of an inferred one says nothing
    dsp = _Dsp(cell, module.name_of(results, cell), delays, into)
    a, b = dsp.operand("A", cascade="ACIN"), dsp.operand("B", cascade="BCIN")
    c, d = dsp.operand("C"), dsp.operand("D")
    into.arc([a], cell.bits("ACOUT"), 0.0, Stage.WIRE)
    into.arc([b], cell.bits("BCOUT"), 0.0, Stage.WIRE)
    adds = "AD" in (cell.parameters.get("AMULTSEL", "A"), cell.parameters.get("BMULTSEL", "B"))
    if cell.parameters.get("USE_MULT", "MULTIPLY") == "NONE":
        summands = [(node, Stage.DSP) for node in (a, b)]
    else:
        factors = [a, b]
        if adds:
            second = "B" if cell.parameters.get("PREADDINSEL", "A") == "B" else "A"
            added, other = (b, a) if second == "B" else (a, b)
            stage = Stage.DSP if cell.value("ADREG", 1) else Stage.WIRE  # else the multiplier counts
            factors = [dsp.stage([(added, stage), (d, stage)], delays.dsp_preadder, "AD"), other]
        controls = dsp.operand("INMODE")
        product = dsp.stage([(node, Stage.DSP) for node in (*factors, controls)], delays.dsp_multiplier, "M")
        summands = [(product, Stage.DSP if cell.value("MREG", 1) else Stage.WIRE)]
    summands += [(node, Stage.DSP) for node in (c, dsp.cascade("PCIN"), *map(dsp.operand, CONTROLS))]
    total = dsp.stage(summands, delays.dsp_adder, "P")
    for pin in RESULTS:
        if cell.value("PREG", 1):
            into.start(cell.bits(pin), delays.dsp_out, dsp.name)
        else:
            into.arc([total], cell.bits(pin), 0.0, Stage.WIRE)
    for pin, bits in cell.pins.items():
        if pin.startswith(("CE", "RST")):
            into.end(bits, delays.net + delays.dsp_setup, dsp.name, pin)


class _Dsp:
    """Nodes inside of one DSP. What only constants reach never changes: no path starts there."""

    def __init__(self, cell: Cell, name: str, delays: Delays, into: Arcs):
        self.cell, self.name, self._delays, self._into = cell, name, delays, into
        self._changing: set[Bit] = {bit for bits in cell.pins.values() for bit in bits if isinstance(bit, int)}

    def operand(self, pin: str, cascade: str = "") -> int:
        """Behind the register of a pin, or of the cascade that may stand in its place."""
        net = self._delays.net
        sources = [(bit, net) for bit in self.cell.bits(pin)] + [(bit, 0.0) for bit in self.cell.bits(cascade)]
        return self._registered(self._node(sources), pin)

    def cascade(self, pin: str) -> int:
        """Behind the wires from the neighbour."""
        return self._node([(bit, 0.0) for bit in self.cell.bits(pin)])

    def stage(self, nodes: Iterable[tuple[Bit, Stage]], delay: float, register: str) -> int:
        """Behind an arithmetic stage of some nodes and its register."""
        return self._registered(self._node([(node, delay) for node, _ in nodes], dict(nodes)), register)

    def _node(self, sources: list[tuple[Bit, float]], stages: dict[Bit, Stage] | None = None) -> int:
        node = self._into.inner()
        for source, delay in sources:
            if source in self._changing:
                self._into.arc([source], [node], delay, (stages or {}).get(source, Stage.WIRE))
                self._changing.add(node)
        return node

    def _registered(self, node: int, register: str) -> int:
        if not self.cell.value(f"{register}REG", 1):
            return node
        self._into.end([node], self._delays.dsp_setup, self.name, register)
        behind = self._into.inner()
        if node in self._changing:
            self._into.start([behind], self._delays.register_out, f"{self.name}.{register}")
            self._changing.add(behind)
        return behind
