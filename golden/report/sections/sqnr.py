"""Error of every layer against the float network."""

from __future__ import annotations

from triovit.golden.report import plots
from triovit.golden.report.page import LEFT, RIGHT, Section, paragraph, table
from triovit.golden.report.view import View, decibel, plot_and_table


def section(view: View) -> Section:
    parts = []
    errors = view.findings.errors
    if errors:
        parts.append(
            paragraph(
                "Signal to quantization-noise ratio of every layer's output: power of the float network's tensor "
                "over the power of the difference to the decoded integers, all rounding before it included. 6 dB "
                f"are a factor of two in the error's amplitude. {view.images}"
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
            [view.name(e.name), view.kinds[e.name], decibel(e.sqnr), f"{e.largest:.3g}", f"{e.peak:.3g}"]
            for e in errors
        ]
        parts.append(
            plot_and_table(
                plots.sqnr_bars(errors, view.names, view.kinds),
                "sqnr",
                "Signal to noise ratio of every layer",
                table(columns, rows),
            )
        )
    return view.section("sqnr", "Error of every layer", parts)
