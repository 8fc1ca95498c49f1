"""A network, and what it takes to look at it -> one HTML file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from triovit.golden.evaluation.accuracy import Share
from triovit.golden.integer.family import family, first_reason
from triovit.golden.quantization.methods import METHODS
from triovit.golden.report.findings import Accuracy, Findings, ReportSubject
from triovit.golden.report.opening import opening
from triovit.golden.report.page import LEFT, RIGHT, TEXT, Html, Section, fold, heading, page, paragraph, table
from triovit.golden.report.sections import ORDER
from triovit.golden.report.vector import style
from triovit.golden.report.view import View

HANDLED = ("settings", "encodings", "preset", "method", "float_top1", "integer_top1", "test_images")  # told elsewhere


def report(subject: ReportSubject, findings: Findings) -> str:
    """The HTML page: self-contained, without scripts, for light and dark screens."""
    view = View(subject.network, findings)
    with style():
        sections = [section(view) for section in ORDER]
    return page(f"Quantization report: {subject.network.name}", [summary(subject, view), *sections])


def summary(subject: ReportSubject, view: View) -> Section:
    """How good the network is, where its errors are, what it is and how it was made."""
    metadata = subject.network.metadata
    accuracies = [*measured(metadata), *subject.accuracies]
    parts = [*opening(view, accuracies), heading("Accuracy"), _accuracy(accuracies)]
    parts.append(_facts("What this network is", _identity(subject, view)))
    settings = metadata.get("settings")
    if isinstance(settings, dict):
        parts.append(_facts("Settings of the quantization", settings.items()))
    others = {key: value for key, value in metadata.items() if key not in HANDLED}
    if others:
        rows = [[key, value if isinstance(value, str) else json.dumps(value)] for key, value in others.items()]
        parts.append(_facts("Calibration and other metadata", rows))
    return Section("summary", "Summary", parts)


def _identity(subject: ReportSubject, view: View) -> list[list]:
    network, metadata = subject.network, subject.network.metadata
    widest = max(network.bounds(), key=lambda bound: bound.bound)
    reason = first_reason(network)
    return [
        ["network", network.name],
        ["preset", metadata.get("preset", "unknown")],
        ["input", " x ".join(str(size) for size in network.input_shape)],
        ["outputs", network.shapes()[network.output][0]],
        ["layers", len(network.nodes)],
        ["weights", sum(layer.size for layer in view.findings.weights)],
        ["family", f"{family(network)}: {reason}" if reason else family(network)],
        ["method", method(metadata)],
        ["widest accumulator", f"{widest.bits} of 32 bits ({widest.node})"],
        ["file", subject.file],
        ["bytes", subject.size],
        ["SHA-256", subject.sha256],
        ["images of this report", "none" if subject.pixels is None else f"{len(subject.pixels):,} of {subject.data}"],
        ["float network of this report", "given" if subject.model else "none"],
    ]


def _facts(title: str, rows: Iterable[Sequence]) -> Html:
    """Names and values, folded."""
    return fold(title, [table([("", LEFT), ("", TEXT)], rows, most=None)])


def method(metadata: dict) -> str:
    """The name of the method that a network's settings are, as far as it is known."""
    settings = metadata.get("settings")
    same = [name for name, method in METHODS.items() if settings == method.to_dict()]
    told = metadata.get("method")
    if isinstance(told, str):
        return told if told in same or told not in METHODS else f"{told}, with other settings"
    return same[0] if same else "no named one"


def measured(metadata: dict) -> list[Accuracy]:
    """The accuracies in a network's metadata."""
    images = metadata.get("test_images")
    images = images if type(images) is int and images > 0 else 0
    found = []
    for key, what in (("float_top1", "float network"), ("integer_top1", "this network")):
        top1 = metadata.get(key)
        if isinstance(top1, int | float) and not isinstance(top1, bool) and 0 <= top1 <= 100:
            error = Share(round(top1 / 100 * images), images).standard_error if images else None
            data, floating = "test images, from the network's metadata", key == "float_top1"
            found.append(Accuracy(what, data, images, float(top1), error, floating=floating))
    return found


def to_json(subject: ReportSubject, findings: Findings) -> dict:
    """The numbers of the tables for machines."""
    activations = findings.activations
    return {
        "network": subject.network.name,
        "file": subject.file,
        "sha256": subject.sha256,
        "family": family(subject.network),
        "method": method(subject.network.metadata),
        "images": activations.images if activations else 0,
        "lacking": findings.lacking,
        "errors": [
            {
                "layer": e.name,
                "sqnr": e.sqnr if abs(e.sqnr) != float("inf") else None,
                "largest": e.largest,
                "peak": e.peak,
            }
            for e in findings.errors or ()
        ],
        "weights": [
            {
                "layer": w.name,
                "weights": w.size,
                "zero": w.zeros,
                "ends": w.ends,
                "filters": {scheme.label: count for scheme, count in w.filters.items()},
                "entropy": {scheme.label: w.entropy(scheme) for scheme in w.counts},
            }
            for w in findings.weights
        ],
        "migration": [{"tensor": t.name, "before": t.span_before, "after": t.span_after} for t in findings.migrated],
        "shifting": [{"tensor": t.name, "held": t.held} for t in findings.shifted],
        "divisors": [
            {
                "attention": b.attention,
                "branch": b.branch,
                "offset": b.offset,
                "smallest": b.smallest,
                "largest": b.largest,
                "zero": b.zeros / b.size,
                "beyond": b.clipped / b.size,
                "error": b.error,
                "codes": b.codes.tolist(),
            }
            for b in (activations.divisors if activations else ())
        ],
        "saturation": [
            {"tensor": name, "lowest": c.lowest / c.size, "highest": c.highest / c.size}
            for name, c in (activations.codes.items() if activations else ())
        ],
    }


def _accuracy(accuracies: list[Accuracy]) -> Html:
    rows = [
        [
            a.what,
            a.data,
            a.images or "?",
            f"{a.top1:.2f}",
            "?" if a.error is None else f"{a.error:.2f}",
            "?" if a.top5 is None else f"{a.top5:.2f}",
        ]
        for a in accuracies
    ]
    if not rows:
        return paragraph(
            "None is known: measure it with 'triovit evaluate --json FILE' and give the file as --accuracy FILE."
        )
    return table(
        [
            ("network", TEXT),
            ("data", TEXT),
            ("images", RIGHT),
            ("top-1 %", RIGHT),
            ("standard error", RIGHT),
            ("top-5 %", RIGHT),
        ],
        rows,
    )
