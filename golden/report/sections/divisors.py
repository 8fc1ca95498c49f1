"""Divisors of the linear attention, and what their codes can tell apart."""

from __future__ import annotations

from triovit.golden.report import plots
from triovit.golden.report.page import LEFT, RIGHT, Section, panels, paragraph, table
from triovit.golden.report.vector import inline_svg
from triovit.golden.report.view import View, percent


def section(view: View) -> Section:
    found = view.findings.activations
    branches = found.divisors if found else []
    parts = []
    if branches:
        parts.append(
            paragraph(
                "Divisors of the ReLU linear attention, as integers, for every token of every image. The shaded "
                "octaves are those that the 4-bit log2 codes (numbers above) can tell apart; what lies beyond gets "
                f"the first or the last code. {view.images}"
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
                view.name(b.attention),
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
            panels(
                inline_svg(plot, f"divisors{number}", f"Divisors of {branch.attention}, branch {branch.branch}")
                for number, (branch, plot) in enumerate(
                    zip(branches, plots.divisor_histograms(branches, view.names), strict=True)
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
                        [view.name(b.attention), b.branch, *(percent(count / b.size) for count in b.codes)]
                        for b in branches
                    ],
                ),
            ]
    elif "divisors" not in view.findings.lacking:
        parts.append(paragraph("The network has no attention."))
    return view.section("divisors", "Divisors of the attention", parts)
