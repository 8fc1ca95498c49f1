"""Matplotlib figures as inline SVG: text stays text, and foreground and background are those of the page."""

from __future__ import annotations

import io
import re
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

FOREGROUND = "#010203"  # becomes the page's text colour; nothing else is drawn with it
FONTS = "DejaVu Sans, Verdana, sans-serif"  # the texts are laid out for the first, the second is as wide
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "grid.linewidth": 0.5,
    "grid.alpha": 0.2,
    "legend.frameon": False,
    "axes.grid": True,
    "axes.grid.axis": "x",
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.titlelocation": "left",
    **dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "grid.color"), FOREGROUND
    ),
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
}


def style():
    """Context in which figures that become inline SVG are drawn."""
    return mpl.rc_context(rc=STYLE)


def inline_svg(figure: Figure, name: str, title: str) -> str:
    """An <svg> element without references to anything outside. name: of this figure on its page; title: for readers
    of the page who do not see it. The same figure gives the same text."""
    buffer = io.StringIO()
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\s*xmlns(:\w+)?="[^"]*"', "", svg)  # HTML knows these namespaces
    svg = svg.replace(FOREGROUND, "currentColor").replace("xlink:href", "href")
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    svg = svg.replace("font-family: 'DejaVu Sans'", f"font-family: {FONTS}")
    svg = re.sub(r' d="[^"]+"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), svg)  # 1/100 point is enough
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
    # Identifiers are of the whole page: those that are referred to get the figure's name, the others go.
    svg = re.sub(r' id="([^"]+)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", svg)
    label = re.sub(r"[^\w ,.:()-]", " ", title)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
