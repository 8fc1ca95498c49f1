"""What every section of a report takes: the network, what was found, and how its layers are told."""

from __future__ import annotations

import math
from functools import cached_property

from matplotlib.figure import Figure

from triovit.golden.integer.names import short_names
from triovit.golden.integer.network import IntegerNetwork
from triovit.golden.report.findings import Findings
from triovit.golden.report.page import Html, Section, figure, layer_name, pair
from triovit.golden.report.vector import inline_svg


class View:
    """names: short names of the tensors. kinds: of the layers."""

    def __init__(self, network: IntegerNetwork, findings: Findings):
        self.network, self.findings = network, findings

    @cached_property
    def names(self) -> dict[str, str]:
        return short_names(self.network.shapes())

    @cached_property
    def kinds(self) -> dict[str, str]:
        return {node.name: node.kind for node in self.network.nodes}

    @property
    def images(self) -> str:
        """Over how many images something was found, as a sentence."""
        count = self.findings.activations.images if self.findings.activations else 0
        return f"Over {count:,} image{'s' if count > 1 else ''}."

    def name(self, tensor: str) -> Html:
        return layer_name(self.names[tensor], tensor)

    def section(self, identifier: str, title: str, parts: list[Html]) -> Section:
        """With a sentence about what it lacks, if it does."""
        lacking = self.findings.lacking.get(identifier)
        missing = [f"Not everything is shown here, for want of: {'; '.join(lacking)}."] if lacking else ()
        return Section(identifier, title, parts, missing)


def plot_and_table(plot: Figure, identifier: str, title: str, numbers: Html) -> Html:
    """A plot beside the table of its numbers. identifier: of the plot on its page."""
    return pair(figure(inline_svg(plot, identifier, title)), numbers)


def percent(share: float) -> str:
    """A share as a number of per cent, with what it takes to tell a small one from none."""
    value = 100 * share
    return f"{value:.2f}" if value >= 0.005 or not value else f"{value:.1g}"


def decibel(value: float) -> str:
    """No error at all is infinitely good."""
    return f"{value:.1f}" if math.isfinite(value) else ("∞" if value > 0 else "-∞")


def number(value: float | None) -> str:
    return "?" if value is None else f"{value:.1f}"
