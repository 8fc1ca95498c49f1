"""A run as a picture: which unit has an instruction under way in which cycle, as SVG."""

from __future__ import annotations

from dataclasses import dataclass
from xml.sax.saxutils import escape

import numpy as np

from triovit.compiler.memory.program import CompiledProgram
from triovit.golden.integer.network import IntegerNetwork
from triovit.hdl.isa.names import Opcode, Unit
from triovit.sim.rtl.simulation import EVENT_DONE, EVENT_START

LINES = 4  # the run is broken into, like text
WIDTH, LEFT, RIGHT = 1000, 70, 20  # pixels: of the picture, beside the bars
BAR, ROW, GAP, TOP = 11, 14, 34, 42  # pixels: height of a bar, from unit to unit, between lines, above the first
SMALLEST = 0.3  # pixels: narrower gaps between bars of one kind are closed
NAMES = {Unit.LOAD: "LOAD", Unit.RMAC: "R-MAC", Unit.MAT: "MAT", Unit.STORE: "STORE"}
COLOURS = {  # kind of the layer -> fill; on white, told apart by people who see few colours as well
    "convolution": "#33aadd",
    "pointwise": "#4477aa",
    "depthwise": "#ee7733",
    "grouped": "#228833",
    "attention": "#aa3377",
}
OTHERS = "#777777"  # pool, layer norm


@dataclass(frozen=True)
class Interval:
    """A unit works on an instruction of a layer of this kind in the cycles first..last of the run."""

    unit: Unit
    kind: str
    first: int
    last: int


def intervals(network: IntegerNetwork, program: CompiledProgram, events: np.ndarray) -> list[Interval]:
    """One per instruction, in the order of the program; events: of one run (dtype EVENTS), cycles from its first one.

    From the cycle in which a unit takes the instruction, its semaphores given, to its last result. MAT_JOIN counts from
    when its RMAC_CONV is taken too: before, the MAT engine only waits.
    """
    kinds = {node.name: node.kind for node in network.nodes}
    zero = int(events["cycle"].min()) if len(events) else 0
    times: dict[int, dict[int, int]] = {EVENT_START: {}, EVENT_DONE: {}}
    for cycle, index, _, unit, event in events.tolist():
        if unit != Unit.FETCH:
            times[event][index] = cycle - zero
    starts = times[EVENT_START]
    joint = [i for i, x in enumerate(program.instructions) if x.opcode == Opcode.RMAC_CONV and x.fields.get("joint")]
    joins = [i for i, x in enumerate(program.instructions) if x.opcode == Opcode.MAT_JOIN]
    for convolution, join in zip(joint, joins, strict=True):
        starts[join] = max(starts[join], starts[convolution])
    return [
        Interval(program.instructions[i].unit, kinds.get(program.layer_of(i), ""), starts[i], times[EVENT_DONE][i])
        for i in sorted(starts)
        if program.instructions[i].unit in NAMES
    ]


def timeline(title: str, found: list[Interval], cycles: int) -> str:
    """SVG of the intervals of a run of so many cycles, a row per unit, coloured by the kind of layer."""
    title, scale = escape(title), (WIDTH - LEFT - RIGHT) * LINES / cycles  # pixels per cycle
    height = TOP + LINES * (len(NAMES) * ROW + GAP) + 24
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="11" fill="#1f2328">',
        f"<title>{title}</title>",
        f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="6" fill="#ffffff" stroke="#d0d7de"/>',
        f'<text x="12" y="24" font-size="14">{title}</text>',
    ]
    body += [_line(line, cycles, scale) for line in range(LINES)]
    for colour in dict.fromkeys([*COLOURS.values(), OTHERS]):
        chosen = [i for i in found if COLOURS.get(i.kind, OTHERS) == colour]
        body.append(f'<path fill="{colour}" d="{_bars(chosen, cycles, scale)}"/>')
    for number, (kind, colour) in enumerate([*COLOURS.items(), ("pool, layer norm", OTHERS)]):
        x, y = LEFT + 120 * number, height - 22
        body.append(f'<rect x="{x}" y="{y}" width="11" height="11" fill="{colour}"/>')
        body.append(f'<text x="{x + 16}" y="{y + 9.5}">{kind}</text>')
    return "\n".join([*body, "</svg>\n"])


def _top(line: int) -> int:
    return TOP + line * (len(NAMES) * ROW + GAP)


def _line(line: int, cycles: int, scale: float) -> str:
    """Names of the units, and the cycles at which a line begins and ends."""
    top, right = _top(line), WIDTH - RIGHT
    texts = []
    for row, name in enumerate(NAMES.values()):
        y = top + row * ROW
        texts.append(f'<rect x="{LEFT}" y="{y}" width="{right - LEFT}" height="{BAR}" fill="#f0f2f4"/>')
        texts.append(f'<text x="{LEFT - 8}" y="{y + 9.5}" text-anchor="end">{name}</text>')
    step = 10 ** (len(str(cycles)) - 2)  # ten to a hundred marks
    for cycle in range(0, cycles + 1, step):
        x = LEFT + (cycle - line * cycles / LINES) * scale
        if LEFT - 0.5 <= x <= right:
            y = top + len(NAMES) * ROW
            texts.append(f'<text x="{x:.1f}" y="{y + 11}" text-anchor="middle" fill="#59636e">{cycle:,}</text>')
    return "\n".join(texts)


def _bars(found: list[Interval], cycles: int, scale: float) -> str:
    """Path of the intervals' rectangles: overlapping ones and those side by side are one; each stays in its lines."""
    path, length = [], cycles / LINES
    for row, unit in enumerate(NAMES):
        spans: list[list[float]] = []
        for first, last in sorted((i.first, i.last) for i in found if i.unit == unit):
            if spans and first - spans[-1][1] <= SMALLEST / scale:
                spans[-1][1] = max(spans[-1][1], last)
            else:
                spans.append([first, last])
        for first, last in spans:
            for line in range(LINES):
                begin, end = max(first, line * length), min(last, (line + 1) * length)
                if begin < end:
                    x, width = LEFT + (begin - line * length) * scale, max(0.2, (end - begin) * scale)
                    path.append(f"M{x:.1f} {_top(line) + row * ROW}h{width:.1f}v{BAR}h-{width:.1f}z")
    return "".join(path)
