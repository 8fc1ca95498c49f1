"""What a report opens with: three numbers, the errors of all layers in one strip, the weakest layers in words."""

from __future__ import annotations

import itertools
import math

from triovit.golden.report.findings import Accuracy
from triovit.golden.report.page import Html, figures, heading, listed, paragraph, strip
from triovit.golden.report.view import View, decibel
from triovit.golden.report.weakest import Weakness, noise, weakest

STEPS = (  # of the strip: SQNR in dB that a layer is below, colour
    (10, "#a50f15"),
    (15, "#e6550d"),
    (20, "#fdae6b"),
    (25, "#9ecae1"),
    (30, "#4292c6"),
    (math.inf, "#08519c"),
)


def opening(view: View, accuracies: list[Accuracy]) -> list[Html]:
    """accuracies: those of this network and of the float one, as far as they are known."""
    parts = [figures([_accuracy(accuracies), _output(view), _accumulator(view)])]
    if not view.findings.errors:
        return [*parts, *_lacking(view)]
    return [*parts, *_strip(view), heading("The weakest layers"), _weakest(view)]


def percent_of_signal(sqnr: float, whose: str = "its") -> str:
    """Amplitude of the error over that of the signal, in words."""
    return (
        f"{100 * math.sqrt(noise(sqnr)):.2g} % of {whose} signal" if math.isfinite(sqnr) else "all there is: no signal"
    )


def _accuracy(accuracies: list[Accuracy]) -> tuple[str, str]:
    own = next((a for a in accuracies if not a.floating), None)
    floating = next((a for a in accuracies if a.floating), None)
    if own is None:
        return "?", "top-1: not measured yet ('triovit evaluate --json FILE', then --accuracy FILE)"
    on = f" on {own.images:,} images" if own.images else ""
    return f"{own.top1:.2f} %", f"top-1{on}" + (f"; the float network: {floating.top1:.2f} %" if floating else "")


def _output(view: View) -> tuple[str, str]:
    if not view.findings.errors:
        return "?", "signal to noise of the outputs: not known, see below"
    sqnr = {error.name: error.sqnr for error in view.findings.errors}[view.network.output]
    if sqnr == math.inf:
        return "∞ dB", "signal to noise of the outputs: they have no error at all"
    return f"{decibel(sqnr)} dB", f"signal to noise of the outputs: their error is {percent_of_signal(sqnr, 'their')}"


def _accumulator(view: View) -> tuple[str, str]:
    widest = max(view.network.bounds(), key=lambda bound: bound.bound)
    return f"{widest.bits} of 32 bits", f"widest accumulator for any input at all ({view.names[widest.node]})"


def _lacking(view: View) -> list[Html]:
    return [paragraph(f"Errors of layers are not known, for want of: {'; '.join(view.findings.lacking['sqnr'])}.")]


def _strip(view: View) -> list[Html]:
    def colour(sqnr: float) -> str:
        return next(colour for below, colour in STEPS if sqnr < below or below == math.inf)

    errors = view.findings.errors or []
    cells = [(colour(e.sqnr), f"{view.names[e.name]}, {view.kinds[e.name]}: {decibel(e.sqnr)} dB") for e in errors]
    bounds = [below for below, _ in STEPS[:-1]]
    words = [f"under {bounds[0]} dB", *(f"{a} to {b}" for a, b in itertools.pairwise(bounds)), f"{bounds[-1]} or more"]
    key = [(colour, meaning) for (_, colour), meaning in zip(STEPS, words, strict=True)]
    return [
        heading("Signal to quantization noise of every layer, from the image to the outputs"),
        strip(f"SQNR of {len(errors)} layers in execution order", cells, key),
    ]


def _weakest(view: View) -> Html:
    return listed([view.name(w.name), _words(view, w)] for w in weakest(view.network, view.findings))


def _words(view: View, weakness: Weakness) -> str:
    told = f" ({weakness.kind}), {decibel(weakness.sqnr)} dB: its error is {percent_of_signal(weakness.sqnr)}. "
    if weakness.source:
        name, sqnr = weakness.source
        return told + f"Most of it comes in with {view.names[name]} ({decibel(sqnr)} dB)."
    if weakness.causes:
        return told + f"Most of it is made here: {'; '.join(weakness.causes)}."
    return told + "Most of it is made here, and no single cause stands out: the rounding to 8 bits remains."
