"""HTML of a report: elements whose texts are escaped, and the page around them."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LEFT, RIGHT, TEXT = "left", "right", "text"  # kinds of a table's columns; text wraps

CSS = """
:root { color-scheme: light dark; --line: #d4d8de; --soft: #f3f5f7; --dim: #59616d; --accent: #1f6fb5; }
@media (prefers-color-scheme: dark) {
  :root { --line: #3a414b; --soft: #1d2127; --dim: #a3acb8; --accent: #6fb3ee; }
  body { background: #14171b; color: #e4e7eb; }
}
body { font: 15px/1.5 system-ui, "DejaVu Sans", Verdana, sans-serif; }
body { margin: 0 auto; padding: 1.5rem; max-width: 84rem; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem; } p { max-width: 60rem; margin: .5rem 0; }
nav { margin: .75rem 0; } nav a { margin-right: 1rem; } a { color: var(--accent); }
.pair { display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: flex-start; }
.pair > figure { flex: 1 1 34rem; } .pair > .table { flex: 1 1 28rem; }
figure { margin: .5rem 0; min-width: 0; } figure svg { max-width: 100%; height: auto; display: block; }
.table { overflow-x: auto; min-width: 0; margin: .5rem 0; }
table { border-collapse: collapse; font-size: .82rem; font-variant-numeric: tabular-nums; }
th, td { padding: .1rem .6rem; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; }
th { background: var(--soft); vertical-align: bottom; } .right { text-align: right; } td { white-space: nowrap; }
td.text { white-space: normal; overflow-wrap: anywhere; max-width: 46rem; }
.missing { border-left: 4px solid #e08214; background: var(--soft); padding: .5rem .75rem; }
.dim { color: var(--dim); }
@media print { .pair { display: block; } }
"""


class Html(str):
    """Text that is HTML already."""


@dataclass(frozen=True)
class Section:
    """id: of the page's anchor. parts: elements in order. missing: what it lacks, in sentences; shown first."""

    id: str
    title: str
    parts: Sequence[Html]
    missing: Sequence[str] = ()


def layer_name(short: str, full: str) -> Html:
    """A short name that tells the full one when pointed at."""
    return Html(f'<span title="{html.escape(full)}">{html.escape(short)}</span>')


def text(value) -> Html:
    """Escaped text of a value; whole numbers get thousands separators."""
    if isinstance(value, Html):
        return value
    return Html(html.escape(f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)))


def paragraph(value: str) -> Html:
    return Html(f"<p>{text(value)}</p>")


def heading(value: str) -> Html:
    return Html(f"<h3>{text(value)}</h3>")


def table(columns: Sequence[tuple[str, str]], rows: Iterable[Sequence]) -> Html:
    """columns: (heading, class) with class "left", "right" or "text" (long, may break). No headings: no head."""
    head = "".join(f'<th class="{side}">{text(name)}</th>' for name, side in columns)
    head = f"<thead><tr>{head}</tr></thead>" if any(name for name, _ in columns) else ""
    body = "\n".join(
        "<tr>"
        + "".join(f'<td class="{side}">{text(cell)}</td>' for (_, side), cell in zip(columns, row, strict=True))
        + "</tr>"
        for row in rows
    )
    return Html(f'<div class="table"><table>{head}\n<tbody>{body}</tbody></table></div>')


def figure(svg: str) -> Html:
    return Html(f"<figure>{svg}</figure>")


def pair(left: Html, right: Html) -> Html:
    """A plot and its table, side by side where there is room."""
    return Html(f'<div class="pair">{left}{right}</div>')


def page(title: str, sections: Sequence[Section]) -> str:
    """The whole document; nothing in it refers to anything outside."""
    links = "".join(f'<a href="#{section.id}">{text(section.title)}</a>' for section in sections)
    body = "\n".join(_section(section) for section in sections)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{text(title)}</title>\n'
        f"<style>{CSS}</style>\n</head>\n<body>\n<h1>{text(title)}</h1>\n<nav>{links}</nav>\n{body}\n</body>\n"
        "</html>\n"
    )


def _section(section: Section) -> str:
    missing = "".join(f'<p class="missing">{text(sentence)}</p>' for sentence in section.missing)
    parts = "\n".join(section.parts)
    return f'<section id="{section.id}">\n<h2>{text(section.title)}</h2>\n{missing}{parts}\n</section>'
