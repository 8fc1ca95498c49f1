"""How many physical LUTs a module's LUT cells take: a UltraScale+ LUT6 holds two functions of five inputs together.

Yosys maps for that (`abc9 -luts`), but leaves the pairs to placement, so a sum of cells overstates what a placed design
takes. The pairs here are found greedily and without regard to place: an estimate on the low side.
"""

from __future__ import annotations

from collections import Counter, defaultdict

from triovit.flow.silicon.netlist import Module

SHARED_INPUTS = 5  # of the two functions of a LUT together
LOOKED_AT = 400  # LUTs at one net, and partners of one LUT, that are looked at


def count_physical_luts(module: Module) -> int:
    """Physical LUTs of a module's own LUT cells. One that feeds a carry stays alone, as one of six inputs does."""
    carried = {bit for cell in module.cells if cell.kind.startswith("CARRY") for bit in cell.bits("S")}
    alone, free = 0, []
    for cell in module.cells:
        if cell.kind.startswith("LUT"):
            pins = (bits for pin, bits in cell.pins.items() if pin.startswith("I"))
            inputs = frozenset(bit for bits in pins for bit in bits if isinstance(bit, int))
            if len(inputs) > SHARED_INPUTS or cell.bits("O")[0] in carried:
                alone += 1
            else:
                free.append(inputs)
    return alone + len(free) - count_pairs(free)


def count_pairs(luts: list[frozenset[int]]) -> int:
    """Pairs of LUTs, given by their inputs, that have at most five inputs together."""
    luts = sorted(luts, key=len, reverse=True)  # the large ones find few partners
    users = defaultdict(list)
    for k, inputs in enumerate(luts):
        for bit in inputs:
            users[bit].append(k)
    paired: set[int] = set()
    for k, inputs in enumerate(luts):
        if k not in paired:
            shared = Counter(
                other for bit in inputs for other in users[bit][:LOOKED_AT] if other not in paired and other != k
            )
            for other, common in shared.most_common(LOOKED_AT):
                if len(inputs) + len(luts[other]) - common <= SHARED_INPUTS:
                    paired |= {k, other}
                    break
    # What is left shares nothing, or nothing that was looked at: the largest that the smallest can join.
    sizes = sorted(len(inputs) for k, inputs in enumerate(luts) if k not in paired)
    pairs, low, high = len(paired) // 2, 0, len(sizes) - 1
    while low < high:
        if sizes[low] + sizes[high] <= SHARED_INPUTS:
            pairs, low = pairs + 1, low + 1
        high -= 1
    return pairs
