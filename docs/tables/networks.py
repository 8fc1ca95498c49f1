"""Tables of integer networks: kinds of nodes, formats of weights."""

from __future__ import annotations

import inspect

from docs.tables.markdown import code, table
from triovit.compiler.compile import LOWERINGS
from triovit.golden.batch.executor import STEPS
from triovit.golden.integer.apot import MAX_EXPONENT_BITS, ApotFormat
from triovit.golden.integer.nodes import NODES

LISTED = 12  # so many magnitudes are written out


def nodes() -> str:
    """Kinds of nodes and what runs them."""

    def row(name: str, kind: type) -> tuple[str, ...]:
        text = (inspect.getdoc(kind) or "").split("\n\n")[0]
        runs = (f"`{STEPS[kind].__name__}`" if kind in STEPS else "no", "yes" if kind in LOWERINGS else "no")
        return code(name), " ".join(text.split()).rstrip("."), *runs

    return table(
        ("kind", "computes", "on batches", "compiled"),
        (row(name, kind) for name, kind in NODES.items()),
    )


def apot_formats() -> str:
    """Formats of additive powers of two that start at exponent 0."""

    def row(bits: int) -> tuple[object, ...]:
        form = ApotFormat(exponent_bits=bits)
        magnitudes = [int(level) for level in form.levels if level >= 0]
        shown = f": {' '.join(map(str, magnitudes))}" if len(magnitudes) <= LISTED else ""
        default = ", the default" if form == ApotFormat() else ""
        return (
            str(bits),
            str(form.low),
            f"{form.width} bits{default}",
            f"{form.low}..{form.high}",
            f"{len(magnitudes)}{shown}",
            form.max,
            f"{form.product_bits} bits",
        )

    return table(
        ("b:", "low:", "code", "exponents", "magnitudes, 0 included", "largest:", "product with int8"),
        map(row, range(1, MAX_EXPONENT_BITS + 1)),
    )


CONTENTS = {"kinds of nodes": nodes, "formats of APoT weights": apot_formats}
