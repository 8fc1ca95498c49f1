"""Which filters have which scheme, and how often each level of additive powers of two occurs."""

from __future__ import annotations

import numpy as np

from triovit.golden.report import plots
from triovit.golden.report.page import LEFT, RIGHT, Section, heading, paragraph, table
from triovit.golden.report.view import View, percent, plot_and_table
from triovit.golden.report.weights import WeightScheme


def section(view: View) -> Section:
    layers = view.findings.weights
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
            [view.name(layer.name), view.kinds[layer.name], *(layer.filters.get(s, 0) for s in schemes)]
            for layer in layers
        ]
        parts.append(
            plot_and_table(
                plots.scheme_bars(layers, view.names), "schemes", "Scheme of the filters", table(columns, rows)
            )
        )
    for number, scheme in enumerate(s for s in schemes if s.apot):
        counts = np.sum([layer.counts[scheme] for layer in layers if scheme in layer.counts], axis=0)
        shares = magnitude_shares(scheme, counts)
        title = f"How often each magnitude occurs: {scheme.label}"
        rows = [[magnitude, percent(low + high), percent(high)] for magnitude, low, high in shares]
        columns = [("magnitude", RIGHT), ("weights %", RIGHT), ("of them positive %", RIGHT)]
        parts += [
            heading(title),
            plot_and_table(plots.magnitude_bars(shares), f"levels{number}", title, table(columns, rows)),
        ]
    return view.section("schemes", "Schemes of filters", parts)


def magnitude_shares(scheme: WeightScheme, counts: np.ndarray) -> list[tuple[int, float, float]]:
    """(magnitude, share of the weights that are negative with it, share that are not) of a scheme's levels."""
    middle = len(counts) // 2  # of 0; the levels are symmetric
    negative = np.append(0, counts[:middle][::-1]) / counts.sum()
    positive = counts[middle:] / counts.sum()
    return [
        (int(level), float(low), float(high))
        for level, low, high in zip(scheme.levels[middle:], negative, positive, strict=True)
    ]
