"""HTML of a report: elements whose texts are escaped, and the page around them."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LEFT, RIGHT, TEXT = "left", "right", "text"  # kinds of a table's columns; text wraps
MOST_ROWS = 12  # a longer table is folded

CSS = """
:root {
  color-scheme: light dark; --line: #d4d8de; --soft: #f3f5f7; --dim: #59616d; --accent: #1f6fb5; --warning: #e08214;
}
@media (prefers-color-scheme: dark) {
  :root { --line: #3a414b; --soft: #1d2127; --dim: #a3acb8; --accent: #6fb3ee; }
  body { background: #14171b; color: #e4e7eb; }
}
body { font: 15px/1.5 system-ui, "DejaVu Sans", Verdana, sans-serif; }
body { margin: 0 auto; padding: 1.5rem; max-width: 84rem; }
h1 { font-size: 1.6rem; margin: 0; overflow-wrap: anywhere; } h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem; } p, ol { max-width: 60rem; margin: .5rem 0; }
nav { margin: .75rem 0; } nav a { margin-right: 1rem; } a { color: var(--accent); } li { margin: .35rem 0; }
.figures { display: flex; flex-wrap: wrap; gap: 1rem; margin: 1rem 0; }
.figures > div { flex: 1 1 15rem; padding: .5rem 1rem; background: var(--soft); border-radius: .4rem; }
.figures b { display: block; font-size: 1.9rem; line-height: 1.3; }
.strip { display: flex; height: 2.6rem; margin: .5rem 0 0; } .strip > i { flex: 1 1 0; min-width: 0; }
.strip > i + i { border-left: 1px solid color-mix(in srgb, currentColor 12%, transparent); }
.key { display: flex; flex-wrap: wrap; gap: .25rem 1rem; font-size: .82rem; color: var(--dim); }
.key i { display: inline-block; width: .8rem; height: .8rem; margin-right: .3rem; vertical-align: -.1rem; }
.pair { display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: flex-start; }
.pair > figure { flex: 0 1 auto; } .pair > .table, .pair > details { flex: 1 1 24rem; }
.panels { display: flex; flex-wrap: wrap; gap: .25rem 2rem; }
figure { margin: .5rem 0; min-width: 0; } figure svg { max-width: 100%; height: auto; display: block; }
.table { overflow-x: auto; min-width: 0; margin: .5rem 0; }
table { border-collapse: collapse; font-size: .82rem; font-variant-numeric: tabular-nums; }
th, td { padding: .1rem .6rem; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; }
th { background: var(--soft); vertical-align: bottom; } .right { text-align: right; } td { white-space: nowrap; }
td.text { white-space: normal; overflow-wrap: anywhere; min-width: 9rem; max-width: 46rem; }
details { margin: .5rem 0; min-width: 0; } summary { cursor: pointer; color: var(--accent); }
.missing { border-left: 4px solid var(--warning); background: var(--soft); padding: .5rem .75rem; }
@media (max-width: 40rem) { body { padding: .75rem; } }
@media print {
  .pair { display: block; } details::details-content { content-visibility: visible; height: auto; display: block; }
}
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


def table(columns: Sequence[tuple[str, str]], rows: Iterable[Sequence], most: int | None = MOST_ROWS) -> Html:
    """columns: (heading, class) with class "left", "right" or "text" (long, may break). No headings: no head.

    most: a table of more rows is folded, its reader opens it; None: never.
    """
    rows = list(rows)
    head = "".join(f'<th class="{side}">{text(name)}</th>' for name, side in columns)
    head = f"<thead><tr>{head}</tr></thead>" if any(name for name, _ in columns) else ""
    body = "\n".join(
        "<tr>"
        + "".join(f'<td class="{side}">{text(cell)}</td>' for (_, side), cell in zip(columns, row, strict=True))
        + "</tr>"
        for row in rows
    )
    whole = Html(f'<div class="table"><table>{head}\n<tbody>{body}</tbody></table></div>')
    if most is None or len(rows) <= most:
        return whole
    named = ": " + ", ".join(name for name, _ in columns) if head else ""
    return fold(f"The numbers, {len(rows)} rows{named}", [whole])


def fold(title: str, parts: Iterable[Html]) -> Html:
    """What its reader opens on request."""
    return Html(f"<details><summary>{text(title)}</summary>\n{''.join(parts)}</details>")


def figures(numbers: Iterable[tuple[str, str]]) -> Html:
    """Numbers that are told first: each large, above what it is."""
    return Html(
        '<div class="figures">'
        + "".join(f"<div><b>{text(value)}</b>{text(what)}</div>" for value, what in numbers)
        + "</div>"
    )


def strip(label: str, cells: Iterable[tuple[str, str]], key: Iterable[tuple[str, str]]) -> Html:
    """A row of coloured cells as wide as the page, and the meaning of its colours.

    label: for readers who do not see it. cells: (colour, what is told when pointed at). key: (colour, meaning).
    """
    row = "".join(f'<i style="background:{colour}" title="{html.escape(told)}"></i>' for colour, told in cells)
    meaning = "".join(f'<span><i style="background:{colour}"></i>{text(words)}</span>' for colour, words in key)
    return Html(
        f'<div class="strip" role="img" aria-label="{html.escape(label)}">{row}</div>\n<div class="key">{meaning}</div>'
    )


def listed(items: Iterable[Sequence]) -> Html:
    """A numbered list; each item is a sequence of texts and elements that stand one behind the other."""
    rows = "\n".join(f"<li>{''.join(text(part) for part in item)}</li>" for item in items)
    return Html(f"<ol>{rows}</ol>")


def figure(svg: str) -> Html:
    return Html(f"<figure>{svg}</figure>")


def panels(svgs: Iterable[str]) -> Html:
    """Plots side by side, as many as there is room for."""
    return Html(f'<div class="panels">{"".join(figure(svg) for svg in svgs)}</div>')


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
