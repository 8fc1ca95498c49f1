"""Distribution of the weights over the levels of their scheme."""

from __future__ import annotations

from triovit.golden.report import plots
from triovit.golden.report.page import LEFT, RIGHT, Section, heading, paragraph, table
from triovit.golden.report.view import View, percent, plot_and_table
from triovit.golden.report.weights import LayerWeights, WeightScheme


def section(view: View) -> Section:
    layers = view.findings.weights
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
                view.name(layer.name),
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
            plot_and_table(
                plots.weight_map(scheme, chosen, view.names), f"weights{number}", title, table(columns, rows)
            ),
        ]
    return view.section("weights", "Weights", parts)


def _zero_share(layer: LayerWeights, scheme: WeightScheme) -> float:
    counts = layer.counts[scheme]
    return counts[len(counts) // 2] / counts.sum()


def _end_share(layer: LayerWeights, scheme: WeightScheme) -> float:
    counts = layer.counts[scheme]
    return (counts[0] + counts[-1]) / counts.sum()
