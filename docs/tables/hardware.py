"""Tables of what synthesis, the timing model and placement gave (`make results`): docs/results/hardware.json."""

from __future__ import annotations

import json
from collections.abc import Iterator

from docs.hardware import CLOCK, ENGINES, FILE, MACHINES
from docs.tables.markdown import code, table
from triovit.flow.silicon.delays import ULTRASCALE_PLUS
from triovit.flow.silicon.sums import Share, find_part, shares
from triovit.flow.silicon.usage import Usage

PART = "XCZU9EG"
CORE = "triovit_core"
LARGEST = 12  # parts of a core that are told


def _results(time: str) -> dict:
    return json.loads(FILE.read_text(encoding="utf-8"))[time]


def _usage(module: dict) -> Usage:
    return Usage(**module["total"])


def _find(module: dict, name: str) -> dict:
    """The module of that name at or below a module; raises ValueError where there is none."""
    left = [module]
    while left:
        module = left.pop()
        if module["module"] == name:
            return module
        left += module["children"]
    raise ValueError(f"{FILE}: holds no module {name}; 'make results' measures again")


def machine() -> str:
    """What 16 cores take of the paper's part, before and now."""
    before, now = (_usage(_results(time)["trio-zcu102"]["modules"]) for time in ("before", "now"))
    part = find_part(PART)
    rows = [
        (
            name,
            _whole(was.need),
            _whole(share.need),
            _whole(share.has),
            f"{share.need / share.has:.0%}".replace("%", " %"),
        )
        for (name, share), was in zip(_named(shares(now, part)), shares(before, part), strict=True)
    ]
    logic = [("LUT1-LUT6", before.lut, now.lut, "", ""), ("of them after pairing", before.pairs, now.pairs, "", "")]
    return table(("`trio-zcu102`", "before:", "now:", f"{PART} has:", "share now:"), [*logic, *rows])


def _named(found: list[Share]) -> Iterator[tuple[str, Share]]:
    names = {
        "LUT": "LUTs, with those that are memory",
        "LUT paired": "the same, shared by two functions or two shift registers",
        "FF": "flip-flops",
        "DSP": "DSP48E2",
        "RAM": "RAMB36 (RAMB18: half)",
    }
    for share in found:
        yield names[share.resource], share


def _whole(value: float) -> int | str:
    return int(value) if value == int(value) else str(value)


def core() -> str:
    """One of the 16 cores before, and now with its parts."""
    found = {time: _find(_results(time)["trio-zcu102"]["modules"], CORE) for time in ("before", "now")}
    rows = [("a core before", 1, found["before"]), ("a core now", 1, found["now"])]
    rows += [(code(child["module"]), child["instances"], child) for child in found["now"]["children"][:LARGEST]]
    headings = ("part", "instances:", "LUT:", "paired:", "SRL:", "LUT RAM:", "FF:", "DSP:", "RAMB36:", "RAMB18:")
    return table(headings, [(name, instances, *_usage(module)) for name, instances, module in rows])


def timing() -> str:
    """Longest path and late endpoints of the machines."""
    rows = []
    for name in MACHINES:
        before, now = (_results(time)[name]["timing"] for time in ("before", "now"))
        rows.append((code(name), before["worst"], now["worst"], before["above"], now["above"], now["endpoints"]))
    late = f"above {CLOCK:g} ns"
    headings = ("machine", "longest path before, ns:", "now:", f"endpoints {late} before:", "now:", "of:")
    return table(headings, rows)


def paths() -> str:
    """The slowest families of paths of one core's machine."""
    rows = [
        (
            path["delay"],
            path["luts"],
            path["carries"],
            path["dsps"],
            code(path["start"]),
            code(path["end"]),
            path["endpoints"],
        )
        for path in _results("now")["trio-core"]["timing"]["paths"]
    ]
    return table(("ns:", "LUTs:", "carries:", "DSPs:", "from", "to", "endpoints:"), rows)


def engines() -> str:
    """Engines by themselves: cells, longest path by the model, and clock on an ECP5."""
    before, now = _results("before"), _results("now")
    rows = []
    for name in ENGINES:
        pairs = zip(_figures(before.get(name)), _figures(now.get(name)), strict=True)
        rows.append((name, *(value for pair in pairs for value in pair)))
    kinds = ("LUT", "FF", "DSP", "longest path, ns", "ECP5, MHz")
    return table(("engine", *(heading for kind in kinds for heading in (f"{kind} before:", "now:"))), rows)


def _figures(found: dict | None) -> tuple:
    """LUTs, flip-flops, DSPs, ns, MHz of an engine; nothing of one that there was not."""
    if found is None:
        return ("",) * 5
    total, megahertz = _usage(found["modules"]), found["place_and_route"]["megahertz"]
    return total.lut, total.ff, total.dsp, found["timing"]["worst"], f"{megahertz:.0f}" if megahertz else ""


def delays() -> str:
    """Nanoseconds of the timing model."""
    return table(("delay", "ns:"), [(code(name), f"{value:g}") for name, value in ULTRASCALE_PLUS.table().items()])


CONTENTS = {
    "delays of the timing model": delays,
    "machine on its part": machine,
    "a core and its parts": core,
    "timing of the machines": timing,
    "longest paths": paths,
    "engines by themselves": engines,
}
