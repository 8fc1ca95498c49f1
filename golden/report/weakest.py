"""The layers with the largest errors, and why, in words."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from triovit.golden.integer.network import IntegerNetwork
from triovit.golden.report.findings import Findings
from triovit.golden.report.weights import LayerWeights

COUNT = 5
SATURATED = 0.01  # share of the integers at the ends that is worth a word
COARSE = 8  # bits of weights; fewer are worth a word


@dataclass(frozen=True)
class Weakness:
    """One layer. sqnr: in dB. source: the input that its error comes in with, with its SQNR; None when most of the
    error is the layer's own. causes: of an error of its own, in sentences without a full stop."""

    name: str
    kind: str
    sqnr: float
    source: tuple[str, float] | None
    causes: tuple[str, ...]


def weakest(network: IntegerNetwork, findings: Findings, count: int = COUNT) -> list[Weakness]:
    """The layers with the lowest SQNR, the lowest first; none without errors of layers.

    An error counts as come in when the noise of the worst input, relative to its signal, is at least half of that of
    the output: that is exact only for layers that treat signal and noise alike, and enough for a hint.
    """
    sqnr = {error.name: error.sqnr for error in findings.errors or ()}
    nodes = {node.name: node for node in network.nodes}
    weights = {layer.name: layer for layer in findings.weights}
    found = []
    for name in sorted((name for name in sqnr if sqnr[name] < math.inf), key=sqnr.__getitem__)[:count]:
        inputs = {tensor: sqnr[tensor] for tensor in nodes[name].inputs if tensor in sqnr}
        worst = min(inputs, key=inputs.__getitem__, default=None)
        own = worst is None or 2 * noise(inputs[worst]) < noise(sqnr[name])
        source = None if own or worst is None else (worst, inputs[worst])
        causes = tuple(_causes(name, findings, weights.get(name))) if own else ()
        found.append(Weakness(name, nodes[name].kind, sqnr[name], source, causes))
    return found


def noise(sqnr: float) -> float:
    """Power of the error over that of the signal."""
    return 10 ** (-sqnr / 10)


def _causes(name: str, findings: Findings, weights: LayerWeights | None) -> Iterable[str]:
    activations = findings.activations
    branches = [b for b in (activations.divisors if activations else ()) if b.attention == name]
    if branches:
        worst = max(branches, key=lambda branch: branch.error)
        codes = "4-bit log2 codes" if worst.offset is not None else "8-bit codes"
        yield f"the {codes} of its divisors are wrong by {100 * worst.error:.0f} % (root mean square)"
        beyond = sum(b.clipped for b in branches) / max(1, sum(b.size for b in branches))
        if beyond >= SATURATED:
            yield f"{100 * beyond:.1f} % of its divisors lie beyond the codes"
    saturated = next((error.saturated for error in findings.errors or () if error.name == name), 0.0)
    if saturated >= SATURATED:
        yield f"{100 * saturated:.1f} % of its integers are at an end of their range"
    coarse = [scheme.label for scheme in weights.filters if scheme.apot or scheme.bits < COARSE] if weights else []
    if coarse:
        yield f"it has filters with {' and '.join(coarse)}"
