"""The table of what modules take of an FPGA, and whether a part holds the design."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from triovit.boards.devices import BOARDS, RESOURCE_NAMES, Board, Family
from triovit.flow.errors import UsageError
from triovit.flow.output import Column, show, table
from triovit.flow.silicon.usage import ModuleUsage, Usage

FAMILIES = {"xcup": Family.XILINX, "ecp5": Family.ECP5}  # whose cells are summed
COLUMNS: tuple[Column, ...] = (
    ("module", "left"),
    ("instances", "right"),
    ("own LUT", "right", 1),
    ("LUT", "right"),
    ("paired", "right", 2),
    ("SRL", "right", 4),
    ("LUT RAM", "right", 5),
    ("FF", "right"),
    ("DSP", "right"),
    ("RAM36", "right"),
    ("RAM18", "right", 3),
)


class Share(NamedTuple):
    """A resource of a part: what a design needs of it, what there is."""

    resource: str
    need: float
    has: float

    @property
    def over(self) -> bool:
        return self.need > self.has


def find_part(name: str) -> Board:
    """A board with the FPGA of that name, or the board of that name, in any case; raises UsageError."""
    for board in BOARDS:
        if name.lower() in (board.device.lower(), board.name.lower()):
            return board
    devices = dict.fromkeys(board.device for board in BOARDS)
    raise UsageError(f"--part must be one of {', '.join(devices)}, not {name}")


def check_part(name: str | None, device: str) -> Board | None:
    """The part that a synthesis for `device` is compared with; raises UsageError for one of another family."""
    if name is None:
        return None
    part = find_part(name)
    if FAMILIES.get(device) is not part.family:
        raise UsageError(f"--part {name}: must be of the family that is synthesized for ({device}), not {part.family}")
    return part


def shares(needs: Usage, part: Board) -> list[Share]:
    """What a design takes of a part; LUTs as cells, and as physical ones (`flow.silicon.packing`)."""
    lut, ff, dsp, ram = RESOURCE_NAMES
    ram_needs = needs.ram36 + needs.ram18 / 2 if part.family is Family.XILINX else needs.ram18
    found = [Share(lut, needs.cells, part.has.lut)]
    if part.family is Family.XILINX:
        found.append(Share(f"{lut} paired", needs.physical, part.has.lut))
    return [
        *found,
        Share(ff, needs.ff, part.has.ff),
        Share(dsp, needs.dsp, part.has.dsp),
        Share(ram, ram_needs, part.has.ram),
    ]


def verdict(found: list[Share]) -> str:
    """'fits', 'fits if its LUTs are shared as estimated', or 'does not fit: DSP 3,392 of 2,520'."""
    over = [share for share in found if share.over]
    if not over:
        return "fits"
    if [share.resource for share in over] == [RESOURCE_NAMES[0]] and len(found) > len(RESOURCE_NAMES):
        return "fits if LUTs are paired as estimated; without pairs " + _needs(over)
    return "does not fit: " + _needs(over)


def _needs(found: list[Share]) -> str:
    return ", ".join(f"{share.resource} {share.need:,.10g} of {share.has:,.10g}" for share in found)


def show_sums(title: str, tree: ModuleUsage, depth: int) -> None:
    """A row for each kind of module down to a depth: of one instance, with all below it; the first is the design."""
    rows = [
        [f"{'  ' * level}{module.name}", module.instances, module.own.lut, *_totals(module.total)]
        for level, module in _rows(tree, depth)
    ]
    table(title, COLUMNS, rows)


def show_part(needs: list[Share], part: Board) -> None:
    """Shares of a part, and the verdict."""
    rows = [
        [share.resource, f"{share.need:,.10g}", f"{share.has:,.10g}", f"{share.need / share.has:.1%}"]
        for share in needs
    ]
    columns: tuple[Column, ...] = (("resource", "left"), ("needed", "right"), ("there", "right"), ("share", "right"))
    table(f"{part.device} ({part.name})", columns, rows)
    show(f"{part.device}: {verdict(needs)}")


def _totals(total: Usage) -> tuple[int, ...]:
    return (total.lut, total.pairs, total.srl, total.lut_ram, total.ff, total.dsp, total.ram36, total.ram18)


def _rows(module: ModuleUsage, depth: int, level: int = 0) -> Iterator[tuple[int, ModuleUsage]]:
    yield level, module
    if level < depth:
        for child in module.children:
            yield from _rows(child, depth, level + 1)
