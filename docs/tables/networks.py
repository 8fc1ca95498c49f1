"""Tables of integer networks: kinds of nodes, formats of weights."""

from __future__ import annotations

import inspect

from docs.tables.markdown import code, table
from triovit.compiler.compile import LOWERINGS
from triovit.golden.batch.executor import STEPS
from triovit.golden.integer import arithmetic
from triovit.golden.integer.apot import MAX_EXPONENT_BITS, ApotFormat
from triovit.golden.integer.nodes import NODES, Convolution

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


def widths() -> str:
    """Width of every number of the arithmetic."""
    limits = Convolution.WEIGHT_LIMITS
    uniform = ", or ".join(f"-{limit}..{limit} for {bits} bits" for bits, limit in sorted(limits.items(), reverse=True))
    largest = (1 << arithmetic.MULTIPLIER_BITS) - 1
    code_bits = arithmetic.MAX_DIVISOR_CODE.bit_length()
    normalized = 1 << (arithmetic.FIXED_POINT_BITS - 1 - arithmetic.LAYER_NORM_FRACTION_BITS)
    dividend = f"8 of the result, {arithmetic.MAX_DIVISOR_CODE} of the largest shift, sign"
    apot = ApotFormat().max
    return table(
        ("value", "width", "remarks"),
        (
            ("activation", "int8", "-128..127; the meaning is `scale * (q - zero_point)`"),
            ("weight", "int8", f"{uniform}, a scale per filter; additive powers of two reach -{apot}..{apot}"),
            ("zero point", "int8", "per channel"),
            ("bias", f"int{arithmetic.ACCUMULATOR_BITS}", "per channel"),
            (
                "psum, accumulator (bias included)",
                f"int{arithmetic.ACCUMULATOR_BITS}",
                "no wrap and no saturation: proven not to overflow",
            ),
            ("multiplier M, M2, R", f"{arithmetic.MULTIPLIER_BITS} bits unsigned", f"0..{largest}"),
            ("shift n, n2, s", f"{arithmetic.MAX_SHIFT.bit_length()} bits", f"0..{arithmetic.MAX_SHIFT}"),
            (
                "accumulator * M + residual term",
                f"{arithmetic.PRODUCT_BITS} bits signed",
                f"the residual term alone stays within 2^{arithmetic.PRODUCT_BITS - 2}",
            ),
            (
                "hardswish operand",
                f"{arithmetic.FIXED_POINT_BITS}-bit fixed point",
                f"f = 0..{arithmetic.MAX_FRACTION_BITS} fraction bits",
            ),
            ("dividend", f"{arithmetic.DIVIDEND_BITS} bits", dividend),
            ("divisor code", f"{code_bits} bits", f"0..{arithmetic.MAX_DIVISOR_CODE}"),
            (
                "normalized value of LayerNorm",
                f"{arithmetic.FIXED_POINT_BITS} bits, {arithmetic.LAYER_NORM_FRACTION_BITS} of them fraction",
                f"+-{normalized}",
            ),
            ("logits", "int16", "one scale for all classes"),
        ),
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


CONTENTS = {"widths of numbers": widths, "kinds of nodes": nodes, "formats of APoT weights": apot_formats}
