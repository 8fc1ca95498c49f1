"""Integers at the ends of their type."""

from __future__ import annotations

from triovit.golden.integer.network import INPUT
from triovit.golden.report import plots
from triovit.golden.report.page import LEFT, RIGHT, Section, paragraph, table
from triovit.golden.report.view import View, percent, plot_and_table


def section(view: View) -> Section:
    parts = []
    found = view.findings.activations
    if found:
        codes = {name: tensor for name, tensor in found.codes.items() if name != INPUT}
        parts.append(
            paragraph(
                "Share of the integers that are the smallest or the largest of their type: saturated ones, and "
                "those that just fit. Not all of it is harm: the smallest integer is the minimum of hardswish "
                "where a channel has a scale of its own, and q and k are not used below 0, so that their scales "
                f"may leave no room there. {view.images}"
            )
        )
        rows = [
            [view.name(name), t.size, percent(t.lowest / t.size), percent(t.highest / t.size)]
            for name, t in codes.items()
        ]
        columns = [("tensor", LEFT), ("integers", RIGHT), ("smallest %", RIGHT), ("largest %", RIGHT)]
        parts.append(
            plot_and_table(
                plots.saturation_bars(codes, view.names), "saturation", "Saturated integers", table(columns, rows)
            )
        )
    return view.section("saturation", "Saturation", parts)
