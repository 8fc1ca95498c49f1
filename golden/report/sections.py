"""The sections of a report: each plot with the table of its numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from triovit.golden.integer.network import INPUT
from triovit.golden.report import plots
from triovit.golden.report.findings import Findings
from triovit.golden.report.page import (
    LEFT,
    RIGHT,
    Html,
    Section,
    figure,
    heading,
    layer_name,
    pair,
    paragraph,
    table,
)
from triovit.golden.report.ranges import ChannelRanges, most_uneven
from triovit.golden.report.vector import inline_svg
from triovit.golden.report.weights import WeightScheme

MOST_COLUMNS = 18


@dataclass(frozen=True)
class Comparison:
    """What migration or shifting changes. columns: of the table, and cells: their values for a tensor; title: of its
    picture of integers."""

    name: str
    columns: tuple[str, ...]
    cells: Callable[[ChannelRanges], list[str]]
    title: Callable[[ChannelRanges], str]


SPAN = Comparison(
    "migrated",
    ("integers of the median channel, all with the largest scale", "with their own scales"),
    lambda t: [number(t.span_before), number(t.span_after)],
    lambda t: (
        f"as integers: {t.span_after:.0f} in the median channel"
        + ("" if t.span_before is None else f", {t.span_before:.0f} with the largest scale")
    ),
)
HELD = Comparison(
    "shifted",
    ("range to hold: symmetric", "with one zero point", "with a zero point a channel"),
    lambda t: [f"{width:.3g}" for width in t.held] if t.held else ["?"] * 3,
    lambda t: "as integers" + (f": range to hold {t.held[1]:.3g} -> {t.held[2]:.3g}" if t.held else ""),
)


class Sections:
    """names: short names of the tensors. kinds: of the layers. missing: what each section lacks, as sentences."""

    def __init__(self, network, findings: Findings, names: dict[str, str]):
        self.network, self.findings, self.names = network, findings, names
        self.kinds = {node.name: node.kind for node in network.nodes}
        self.missing = {
            section: [f"Not everything is shown here, for want of: {'; '.join(texts)}."]
            for section, texts in findings.lacking.items()
        }

    def all(self) -> list[Section]:
        """In the order of the page; to be called inside `vector.style`."""
        return [self.sqnr(), self.ranges(), self.weights(), self.schemes(), self.divisors(), self.saturation()]

    def sqnr(self) -> Section:
        parts = []
        errors = self.findings.errors
        if errors:
            parts.append(
                paragraph(
                    "Signal to quantization-noise ratio of every layer's output: power of the float network's tensor "
                    "over the power of the difference to the decoded integers, all rounding before it included. 6 dB "
                    f"are a factor of two in the error's amplitude. {self._images()}"
                )
            )
            columns = [
                ("layer", LEFT),
                ("kind", LEFT),
                ("SQNR dB", RIGHT),
                ("largest error", RIGHT),
                ("largest value", RIGHT),
            ]
            rows = [
                [self._name(e.name), self.kinds[e.name], decibel(e.sqnr), f"{e.largest:.3g}", f"{e.peak:.3g}"]
                for e in errors
            ]
            parts.append(
                self._pair(
                    plots.sqnr_bars(errors, self.names, self.kinds),
                    "sqnr",
                    "Signal to noise ratio of every layer",
                    table(columns, rows),
                )
            )
        return self._section("sqnr", "Error of every layer", parts)

    def ranges(self) -> Section:
        parts = []
        found = self.findings
        if found.activations:
            parts.append(
                paragraph(
                    "Ranges of single channels, in real units before and in integers after the encodings are applied. "
                    "With one scale for the tensor the left picture would be the right one: narrow channels would "
                    "have few of the 256 integers. Drawn are the tensors whose channels differ most. " + self._images()
                )
            )
        for title, tensors, text, what in (
            (
                "Channel-wise migration: inputs of depthwise layers",
                found.migrated,
                "A scale for each channel, which the depthwise weights take back, stretches every channel.",
                SPAN,
            ),
            (
                "Filter-wise shifting: inputs of the pointwise layers behind depthwise ones",
                found.shifted,
                "A zero point for each channel, which the biases take back, moves every channel to the middle; the "
                "scale stays one for all, and has to hold the widest channel only. Ranges that an observer has "
                "clipped, or that other images have widened, are not in these numbers.",
                HELD,
            ),
        ):
            if tensors:
                drawn = most_uneven(tensors)
                titles = [(self.names[t.name], what.title(t)) for t in drawn]
                plot = inline_svg(plots.channel_bands(drawn, titles), what.name, title)
                parts += [heading(title), paragraph(text), figure(plot), self._range_table(tensors, what)]
        return self._section("ranges", "Ranges of activations", parts)

    def weights(self) -> Section:
        layers = self.findings.weights
        schemes = list(plots.scheme_colours(layers))
        parts = [
            paragraph(
                "Distribution of the integer weights of every layer over the levels of their scheme; in each row the "
                "strongest colour is where most weights are."
            )
        ]
        for number, scheme in enumerate(schemes):
            chosen = [layer for layer in layers if scheme in layer.counts]
            title = f"Weights of filters with {scheme.label}"
            rows = [
                [
                    self._name(layer.name),
                    int(layer.counts[scheme].sum()),
                    percent(_zero_share(layer, scheme)),
                    percent(_end_share(layer, scheme)),
                    f"{layer.used(scheme)} of {len(scheme.levels)}",
                    f"{layer.entropy(scheme):.2f}",
                ]
                for layer in chosen
            ]
            columns = [
                ("layer", LEFT),
                ("weights", RIGHT),
                ("zero %", RIGHT),
                ("at the ends %", RIGHT),
                ("levels used", RIGHT),
                ("entropy in bits", RIGHT),
            ]
            parts += [
                heading(title),
                self._pair(
                    plots.weight_map(scheme, chosen, self.names), f"weights{number}", title, table(columns, rows)
                ),
            ]
        return self._section("weights", "Weights", parts)

    def schemes(self) -> Section:
        layers = self.findings.weights
        schemes = list(plots.scheme_colours(layers))
        filters = {scheme: sum(layer.filters.get(scheme, 0) for layer in layers) for scheme in schemes}
        total = sum(filters.values())
        parts = [
            paragraph(
                "Scheme of each filter (output channel): "
                + ", ".join(f"{count:,} of {total:,} filters have {scheme.label}" for scheme, count in filters.items())
                + "."
            )
        ]
        if len(schemes) > 1:
            columns = [("layer", LEFT), ("kind", LEFT), *((scheme.label, RIGHT) for scheme in schemes)]
            rows = [
                [self._name(layer.name), self.kinds[layer.name], *(layer.filters.get(s, 0) for s in schemes)]
                for layer in layers
            ]
            parts.append(
                self._pair(
                    plots.scheme_bars(layers, self.names), "schemes", "Scheme of the filters", table(columns, rows)
                )
            )
        for number, scheme in enumerate(s for s in schemes if s.apot):
            counts = np.sum([layer.counts[scheme] for layer in layers if scheme in layer.counts], axis=0)
            title = f"How often each level occurs: {scheme.label}"
            parts += [
                heading(title),
                figure(inline_svg(plots.level_bars(scheme, counts), f"levels{number}", title)),
                _level_table(scheme, counts),
            ]
        return self._section("schemes", "Schemes of filters", parts)

    def divisors(self) -> Section:
        found = self.findings.activations
        branches = found.divisors if found else []
        parts = []
        if branches:
            parts.append(
                paragraph(
                    "Divisors of the ReLU linear attention, as integers, for every token of every image. The shaded "
                    "octaves are those that the 4-bit log2 codes (numbers above) can tell apart; what lies beyond gets "
                    f"the first or the last code. {self._images()}"
                )
            )
            columns = [
                ("attention", LEFT),
                ("branch", RIGHT),
                ("log2 offset", RIGHT),
                ("smallest", RIGHT),
                ("largest", RIGHT),
                ("zero %", RIGHT),
                ("beyond the codes %", RIGHT),
                ("codes used", RIGHT),
                ("RMS error of the code %", RIGHT),
            ]
            rows = [
                [
                    self._name(b.attention),
                    b.branch,
                    "-" if b.offset is None else b.offset,
                    b.smallest,
                    b.largest,
                    percent(b.zeros / b.size),
                    percent(b.clipped / b.size),
                    f"{int((b.codes > 0).sum())} of {len(b.codes)}",
                    percent(b.error),
                ]
                for b in branches
            ]
            parts += [
                figure(
                    inline_svg(
                        plots.divisor_histograms(branches, self.names),
                        "divisors",
                        "Divisors of every branch of the attention",
                    )
                ),
                table(columns, rows),
            ]
            if branches[0].offset is not None:
                codes = [(str(code), RIGHT) for code in range(len(branches[0].codes))]
                parts += [
                    paragraph("Share of each log2 code in %:"),
                    table(
                        [("attention", LEFT), ("branch", RIGHT), *codes],
                        [
                            [self._name(b.attention), b.branch, *(percent(count / b.size) for count in b.codes)]
                            for b in branches
                        ],
                    ),
                ]
        elif "divisors" not in self.missing:
            parts.append(paragraph("The network has no attention."))
        return self._section("divisors", "Divisors of the attention", parts)

    def saturation(self) -> Section:
        parts = []
        found = self.findings.activations
        if found:
            codes = {name: tensor for name, tensor in found.codes.items() if name != INPUT}
            parts.append(
                paragraph(
                    "Share of the integers that are the smallest or the largest of their type: saturated ones, and "
                    "those that just fit. Not all of it is harm: the smallest integer is the minimum of hardswish "
                    "where a channel has a scale of its own, and q and k are not used below 0, so that their scales "
                    f"may leave no room there. {self._images()}"
                )
            )
            rows = [
                [self._name(name), t.size, percent(t.lowest / t.size), percent(t.highest / t.size)]
                for name, t in codes.items()
            ]
            columns = [("tensor", LEFT), ("integers", RIGHT), ("smallest %", RIGHT), ("largest %", RIGHT)]
            parts.append(
                self._pair(
                    plots.saturation_bars(codes, self.names), "saturation", "Saturated integers", table(columns, rows)
                )
            )
        return self._section("saturation", "Saturation", parts)

    def _range_table(self, tensors: list[ChannelRanges], what: Comparison) -> Html:
        columns = [
            ("tensor", LEFT),
            ("channels", RIGHT),
            ("smallest", RIGHT),
            ("largest", RIGHT),
            ("tensor's range / median channel's", RIGHT),
            *((text, RIGHT) for text in what.columns),
            ("scales", RIGHT),
            ("zero points", RIGHT),
            ("real units from", LEFT),
        ]
        rows = []
        for t in tensors:
            real = [f"{t.real.low.min():.3g}", f"{t.real.high.max():.3g}"] if t.real else ["?", "?"]
            kinds = [len(np.unique(t.encoding.scale)), len(np.unique(t.encoding.zero_point))] if t.encoding else "??"
            rows.append(
                [self._name(t.name), len(t.codes.low), *real, number(t.spread), *what.cells(t), *kinds, t.origin or "?"]
            )
        return table(columns, rows)

    def _pair(self, plot, name: str, title: str, numbers: Html) -> Html:
        return pair(figure(inline_svg(plot, name, title)), numbers)

    def _name(self, name: str) -> Html:
        return layer_name(self.names[name], name)

    def _images(self) -> str:
        count = self.findings.activations.images if self.findings.activations else 0
        return f"Over {count:,} image{'s' if count > 1 else ''}."

    def _section(self, name: str, title: str, parts: list[Html]) -> Section:
        return Section(name, title, parts, self.missing.get(name, ()))


def percent(share: float) -> str:
    """A share as a number of per cent, with what it takes to tell a small one from none."""
    value = 100 * share
    return f"{value:.2f}" if value >= 0.005 or not value else f"{value:.1g}"


def decibel(value: float) -> str:
    """No error at all is infinitely good."""
    return f"{value:.1f}" if math.isfinite(value) else ("∞" if value > 0 else "-∞")


def number(value: float | None) -> str:
    return "?" if value is None else f"{value:.1f}"


def _zero_share(layer, scheme: WeightScheme) -> float:
    counts = layer.counts[scheme]
    return counts[len(counts) // 2] / counts.sum()


def _end_share(layer, scheme: WeightScheme) -> float:
    counts = layer.counts[scheme]
    return (counts[0] + counts[-1]) / counts.sum()


def _level_table(scheme: WeightScheme, counts: np.ndarray) -> Html:
    """A column a magnitude: both signs together."""
    middle = len(counts) // 2
    magnitudes = scheme.levels[middle:]
    share = counts[middle:] + np.append(0, counts[:middle][::-1])
    parts = []
    for start in range(0, len(share), MOST_COLUMNS):
        part = slice(start, start + MOST_COLUMNS)
        parts.append(
            table(
                [("magnitude", LEFT), *((str(level), RIGHT) for level in magnitudes[part])],
                [["%", *(percent(count / counts.sum()) for count in share[part])]],
            )
        )
    return Html("".join(parts))
