"""What modules take of an FPGA: sums over cells, for each kind of module alone and with all below it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from triovit.boards.measurements import BLOCK_RAMS, FLIP_FLOPS, LUTS, MULTIPLIERS
from triovit.flow.silicon.netlist import Netlist
from triovit.flow.silicon.packing import count_physical_luts


class Usage(NamedTuple):
    """Cells of a kind of module. lut: LUTs of logic. pairs: physical LUTs that hold these (`flow.silicon.packing`).

    srl: shift registers, a LUT each or half of one. lut_ram: LUTs used as memory. ram36, ram18: block RAMs; of an ECP5
    all count as ram18.
    """

    lut: int = 0
    pairs: int = 0
    srl: int = 0
    lut_ram: int = 0
    ff: int = 0
    dsp: int = 0
    ram36: int = 0
    ram18: int = 0

    def plus(self, other: Usage, times: int = 1) -> Usage:
        """The sum with another one, or several."""
        return Usage(*(a + times * b for a, b in zip(self, other, strict=True)))

    @property
    def cells(self) -> int:
        """LUTs when each cell takes one of its own."""
        return self.lut + self.srl + self.lut_ram

    @property
    def physical(self) -> int:
        """LUTs when cells share them: two functions, two shift registers."""
        return self.pairs + -(-self.srl // 2) + self.lut_ram


def usage(cells: Mapping[str, int], pairs: int | None = None) -> Usage:
    """Sums over cells by type. pairs: physical LUTs (default: as many as LUTs)."""
    luts = {name: number * LUTS[name] for name, number in cells.items() if name in LUTS}
    srl = sum(number for name, number in luts.items() if name.startswith("SRL"))
    memory = sum(number for name, number in luts.items() if name.startswith(("RAM", "TRELLIS_DPR")))
    logic = sum(luts.values()) - srl - memory
    return Usage(
        lut=logic,
        pairs=logic if pairs is None else pairs,
        srl=srl,
        lut_ram=memory,
        ff=sum(cells.get(name, 0) for name in FLIP_FLOPS),
        dsp=sum(cells.get(name, 0) for name in MULTIPLIERS),
        ram36=sum(cells.get(name, 0) for name in BLOCK_RAMS if name.startswith("RAMB36")),
        ram18=sum(cells.get(name, 0) for name in BLOCK_RAMS if not name.startswith("RAMB36")),
    )


@dataclass(frozen=True)
class ModuleUsage:
    """A kind of module below another one. instances: below one instance of the parent; of the top module 1.

    own: of one instance without what is below it. total: with it.
    """

    name: str
    instances: int
    own: Usage
    total: Usage
    children: tuple[ModuleUsage, ...]

    def report(self) -> dict:
        """As JSON can hold it."""
        return {
            "module": self.name,
            "instances": self.instances,
            "own": self.own._asdict(),
            "total": self.total._asdict(),
            "children": [child.report() for child in self.children],
        }


def usage_tree(netlist: Netlist, paired: bool) -> ModuleUsage:
    """Usage of the top module, and of all below it; children in the order of what they take in all.

    paired: the family's LUTs hold two functions each.
    """
    found: dict[str, ModuleUsage] = {}
    for module in netlist.below():
        own = usage(Counter(cell.kind for cell in module.cells), count_physical_luts(module) if paired else None)
        counts = Counter(cell.kind for cell in module.instances)
        children = [replace(found[name], instances=number) for name, number in counts.items()]
        total = own
        for child in children:
            total = total.plus(child.total, child.instances)
        children.sort(key=lambda child: (-child.instances * child.total.cells, child.name))
        found[module.name] = ModuleUsage(module.label, 1, own, total, tuple(children))
    return found[netlist.top]
