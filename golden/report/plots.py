"""The plots of a report. Layers are rows, from the top in execution order: their names can be read at any number."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MultipleLocator

from triovit.golden.quantization.calibration.observers import Range
from triovit.golden.quantization.sqnr import TensorError
from triovit.golden.report.activations import BINS_AN_OCTAVE, BranchDivisors, TensorCodes
from triovit.golden.report.ranges import ChannelRanges
from triovit.golden.report.weights import LayerWeights, WeightScheme

ROW = 0.19  # inches
WIDTH = 4.5  # of all figures: the page of a telephone holds one, a wide one two side by side
PANEL = 1.75  # height of figures without rows
BLUE, ORANGE, GREEN, PURPLE, RED, GREY, TEAL, OLIVE = (
    "#3b82c4",
    "#e08214",
    "#2f9e6e",
    "#a06bb8",
    "#d1495b",
    "#8a8f98",
    "#2aa3b0",
    "#9a9a32",
)
KIND_COLOURS = {  # by `Node.kind`, in the order of legends
    "convolution": RED,
    "depthwise": ORANGE,
    "pointwise": BLUE,
    "grouped": TEAL,
    "attention": PURPLE,
    "pool": GREY,
    "layer norm": GREEN,
}
MARGIN = 0.75  # inches beside the rows: axis and legend
MARKS = ((-127, -96, -64, -32, 0, 32, 64, 96, 127), (-128, -32, -16, -8, -4, -2, 0, 2, 4, 8, 16, 32, 128))
HEAT_BINS = 51  # of a row of the map of weights; narrower schemes have a bin per level


def sqnr_bars(errors: list[TensorError], names: dict[str, str], kinds: dict[str, str]) -> Figure:
    """A bar per layer; none for a layer without any error or without signal.

    names, kinds: of every layer; kinds that KIND_COLOURS does not have share one colour.
    """
    figure, axes = _rows([names[error.name] for error in errors])
    values = [error.sqnr if math.isfinite(error.sqnr) else 0 for error in errors]
    found = [kinds[error.name] for error in errors]
    colours = KIND_COLOURS | {kind: OLIVE for kind in found if kind not in KIND_COLOURS}
    axes.barh(range(len(errors)), values, color=[colours[kind] for kind in found], height=0.75)
    axes.set_xlabel("SQNR in dB")
    _legend(figure, {kind: colour for kind, colour in colours.items() if kind in found})
    return figure


def saturation_bars(codes: dict[str, TensorCodes], names: dict[str, str]) -> Figure:
    """Shares at the smallest and at the largest integer, a bar per tensor."""
    figure, axes = _rows([names[name] for name in codes])
    low, high = (
        np.array([100 * getattr(found, end) / found.size for found in codes.values()]) for end in ("lowest", "highest")
    )
    axes.barh(range(len(codes)), low, color=BLUE, height=0.75)
    axes.barh(range(len(codes)), high, left=low, color=ORANGE, height=0.75)
    axes.set_xlim(0, max(1.0, 1.05 * float((low + high).max())))
    axes.set_xlabel("integers in %")
    _legend(figure, {"smallest integer": BLUE, "largest integer": ORANGE})
    return figure


def channel_bands(tensor: ChannelRanges, real_title: str, integer_title: str) -> dict[str, Figure]:
    """Ranges of a tensor's channels: "real units", where they are known, and "integers"."""
    drawn = {}
    if tensor.real:
        drawn["real units"] = _band(tensor.real, BLUE, title=real_title, ylabel="real units")
    drawn["integers"] = _band(
        tensor.codes, ORANGE, title=integer_title, ylabel="integers", ylim=(-135, 135), yticks=(-128, -64, 0, 64, 127)
    )
    return drawn


def weight_map(scheme: WeightScheme, layers: list[LayerWeights], names: dict[str, str]) -> Figure:
    """A row per layer, a column a few levels of the scheme; the stronger the colour, the more of the row's weights."""
    levels = scheme.levels
    width = max(1, len(levels) // HEAT_BINS) if scheme.apot is None else 1
    counts = np.stack([layer.counts[scheme].reshape(-1, width).sum(axis=1) for layer in layers])
    figure, axes = _rows([names[layer.name] for layer in layers])
    axes.grid(visible=False)
    colours = ListedColormap([(0.18, 0.47, 0.78, alpha) for alpha in np.linspace(0, 1, 64)])
    axes.imshow(
        counts / counts.max(axis=1, keepdims=True), cmap=colours, vmin=0, vmax=1, aspect="auto", interpolation="none"
    )
    marks = [mark for mark in MARKS[scheme.apot is not None] if mark in levels] if len(levels) > 20 else levels
    axes.set_xticks([np.searchsorted(levels, mark) // width for mark in marks], [str(mark) for mark in marks])
    axes.set_xlabel("integer weight" + (", a column per level" if width == 1 else f", a column {width} levels"))
    return figure


def scheme_bars(layers: list[LayerWeights], names: dict[str, str]) -> Figure:
    """Filters of each scheme, a bar per layer."""
    figure, axes = _rows([names[layer.name] for layer in layers])
    left = np.zeros(len(layers))
    shown = {}
    for scheme, colour in scheme_colours(layers).items():
        share = np.array([100 * layer.filters.get(scheme, 0) / sum(layer.filters.values()) for layer in layers])
        axes.barh(range(len(layers)), share, left=left, color=colour, height=0.75)
        left += share
        shown[scheme.label] = colour
    axes.set(xlim=(0, 100), xlabel="filters in %")
    _legend(figure, shown)
    return figure


def magnitude_bars(shares: list[tuple[int, float, float]]) -> Figure:
    """How often each magnitude of an APoT format occurs in all layers together. shares: (magnitude, share of negative
    weights, share of others)."""
    figure = Figure(figsize=(WIDTH, PANEL), layout="constrained")
    axes = figure.subplots()
    places = range(len(shares))
    magnitudes, low, high = (np.array(column) for column in zip(*shares, strict=True))
    axes.bar(places, 100 * high, color=PURPLE, width=0.8)
    axes.bar(places, 100 * low, bottom=100 * high, color=TEAL, width=0.8)
    axes.set_xticks(places, [str(level) for level in magnitudes], rotation=90, fontsize=6.5)
    axes.set(xlim=(-1, len(shares)), xlabel="magnitude", ylabel="weights in %")
    axes.grid(visible=False)
    axes.grid(visible=True, axis="y")
    _legend(figure, {"not negative": PURPLE, "negative": TEAL})
    return figure


def divisor_histograms(branches: list[BranchDivisors], names: dict[str, str]) -> list[Figure]:
    """Of every branch: log2 of the divisors, all on one axis; where there are log2 codes, the octaves that they can
    tell are shaded."""
    most = max([1, *(branch.largest for branch in branches)])
    return [_divisor_histogram(branch, names, math.ceil(math.log2(most)) + 1) for branch in branches]


def _divisor_histogram(branch: BranchDivisors, names: dict[str, str], end: int) -> Figure:
    figure = Figure(figsize=(WIDTH, PANEL), layout="constrained")
    axes = figure.subplots()
    share = 100 * branch.histogram / max(branch.size, 1)
    axes.stairs(share, np.arange(len(share) + 1) / BINS_AN_OCTAVE, fill=True, color=PURPLE)
    axes.set(xlim=(-0.5, end), xlabel="log2 of the integer divisor", ylabel="divisors in %")
    axes.xaxis.set_major_locator(MultipleLocator(2))
    title = f"{names[branch.attention]}, branch {branch.branch}"
    if branch.offset is None:
        axes.set_title(title)
        return figure
    first, last = -branch.offset - 0.5, len(branch.codes) - 0.5 - branch.offset
    axes.axvspan(first, last, color=GREEN, alpha=0.13, linewidth=0)
    codes = [code for code in range(len(branch.codes)) if -0.5 <= code - branch.offset <= end]
    top = axes.secondary_xaxis("top")
    top.set_xticks([code - branch.offset for code in codes], [str(code) for code in codes], fontsize=6.5)
    top.tick_params(length=2, pad=1)
    axes.set_title(title, pad=13)
    return figure


def scheme_colours(layers: list[LayerWeights]) -> dict[WeightScheme, str]:
    """The schemes that occur, uniform ones first, with their colours."""
    schemes = list(dict.fromkeys(scheme for layer in layers for scheme in layer.filters))
    schemes.sort(key=lambda scheme: (scheme.apot is not None, -scheme.bits))
    colours, additive = {8: BLUE, 4: ORANGE}, [GREEN, PURPLE, RED, TEAL]
    found = {scheme: colours[scheme.bits] for scheme in schemes if scheme.apot is None}
    return found | {scheme: additive[k % 4] for k, scheme in enumerate(s for s in schemes if s.apot is not None)}


def _rows(labels: list[str]):
    """A figure with one axis whose rows have these labels."""
    figure = Figure(figsize=(WIDTH, ROW * len(labels) + MARGIN), layout="constrained")
    axes = figure.subplots()
    axes.set_yticks(range(len(labels)), labels, fontsize=7.5)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    return figure, axes


def _legend(figure: Figure, colours: dict[str, str]) -> None:
    handles = [Patch(color=colour, label=label) for label, colour in colours.items()]
    figure.legend(
        handles=handles, loc="outside upper left", ncols=min(len(handles), 3), handlelength=1, columnspacing=1.2
    )


def _band(ranges: Range, colour: str, **properties) -> Figure:
    """Ranges as one filled outline, a step per channel. properties: of the axes."""
    figure = Figure(figsize=(WIDTH, PANEL), layout="constrained")
    axes = figure.subplots()
    edges = np.arange(len(ranges.low) + 1) - 0.5
    low, high = (np.append(end, end[-1]) for end in (ranges.low, ranges.high))
    axes.fill_between(edges, low, high, step="post", color=colour, linewidth=0.3)
    axes.axhline(0, color="#8a8f98", linewidth=0.6)
    axes.set(xlim=(-0.5, len(ranges.low) - 0.5), xlabel="channel", **properties)
    axes.grid(visible=False)
    axes.grid(visible=True, axis="y")
    return figure
