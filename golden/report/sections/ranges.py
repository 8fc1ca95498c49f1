"""Ranges of channels: what channel-wise migration and filter-wise shifting change (Trio-ViT)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from triovit.golden.report import plots
from triovit.golden.report.page import LEFT, RIGHT, Html, Section, heading, panels, paragraph, table
from triovit.golden.report.ranges import ChannelRanges, most_uneven
from triovit.golden.report.vector import inline_svg
from triovit.golden.report.view import View, number


@dataclass(frozen=True)
class Change:
    """What migration or shifting changes. text: how. columns: of the table, and cells: their values for a tensor;
    panel: title of its picture of integers."""

    name: str
    title: str
    text: str
    columns: tuple[str, ...]
    cells: Callable[[ChannelRanges], list[str]]
    panel: Callable[[ChannelRanges], str]


MIGRATION = Change(
    "migrated",
    "Channel-wise migration: inputs of depthwise layers",
    "A scale for each channel, which the depthwise weights take back, stretches every channel.",
    ("integers of the median channel, all with the largest scale", "with their own scales"),
    lambda t: [number(t.span_before), number(t.span_after)],
    lambda t: (
        f"integers: {t.span_after:.0f} in the median channel"
        + ("" if t.span_before is None else f", {t.span_before:.0f} with the largest scale")
    ),
)
SHIFTING = Change(
    "shifted",
    "Filter-wise shifting: inputs of the pointwise layers behind depthwise ones",
    "A zero point for each channel, which the biases take back, moves every channel to the middle; the scale stays one "
    "for all, and has to hold the widest channel only. Ranges that an observer has clipped, or that other images have "
    "widened, are not in these numbers.",
    ("range to hold: symmetric", "with one zero point", "with a zero point per channel"),
    lambda t: [f"{width:.3g}" for width in t.held] if t.held else ["?"] * 3,
    lambda t: "integers" + (f": range to hold {t.held[1]:.3g} -> {t.held[2]:.3g}" if t.held else ""),
)


def section(view: View) -> Section:
    parts = []
    found = view.findings
    if found.activations:
        parts.append(
            paragraph(
                "Ranges of single channels, in real units before and in integers after the encodings are applied. "
                "With one scale for the tensor the first picture of each pair would be the second one too: narrow "
                "channels would have few of the 256 integers. Drawn are the tensors whose channels differ most. "
                + view.images
            )
        )
    for change, tensors in ((MIGRATION, found.migrated), (SHIFTING, found.shifted)):
        if tensors:
            parts += [heading(change.title), paragraph(change.text), _pictures(view, change, tensors)]
            parts.append(_table(view, change, tensors))
    return view.section("ranges", "Ranges of activations", parts)


def _pictures(view: View, change: Change, tensors: list[ChannelRanges]) -> Html:
    drawn = []
    for row, tensor in enumerate(most_uneven(tensors)):
        name = view.names[tensor.name]
        for kind, plot in plots.channel_bands(tensor, name, f"{name}\n{change.panel(tensor)}").items():
            drawn.append(inline_svg(plot, f"{change.name}-{kind}{row}", f"Channels of {tensor.name}, {kind}"))
    return panels(drawn)


def _table(view: View, change: Change, tensors: list[ChannelRanges]) -> Html:
    columns = [
        ("tensor", LEFT),
        ("channels", RIGHT),
        ("smallest", RIGHT),
        ("largest", RIGHT),
        ("tensor's range / median channel's", RIGHT),
        *((text, RIGHT) for text in change.columns),
        ("scales", RIGHT),
        ("zero points", RIGHT),
        ("real units from", LEFT),
    ]
    rows = []
    for t in tensors:
        real = [f"{t.real.low.min():.3g}", f"{t.real.high.max():.3g}"] if t.real else ["?", "?"]
        kinds = [len(np.unique(t.encoding.scale)), len(np.unique(t.encoding.zero_point))] if t.encoding else "??"
        rows.append(
            [view.name(t.name), len(t.codes.low), *real, number(t.spread), *change.cells(t), *kinds, t.origin or "?"]
        )
    return table(columns, rows)
