"""Rules that turn the scale which a range needs into a power of two (P2-ViT, section on adaptive rounding).

"adaptive" tries four exponents and leaves the choice to whoever measures errors; the others are the fixed roundings of
the paper's motivation table: "nearest" (halfway is 2**0.5), "ceil" (never clips) and "floor" (never coarser).
"""

from __future__ import annotations

import numpy as np

RULES = ("adaptive", "nearest", "ceil", "floor")
ADAPTIVE = (0, -1, 1, 2)  # around the exponent below the scale; of equal errors the first wins


def candidates(scale: np.ndarray, rule: str = "adaptive") -> np.ndarray:
    """(K, n) whole exponents to try for positive scales (n,): K is 4 for "adaptive", else 1.

    Raises ValueError for another rule.
    """
    mantissa, exponent = np.frexp(scale)  # scale = mantissa * 2**exponent, 0.5 <= mantissa < 1: a logarithm would round
    floor = exponent - 1.0
    match rule:
        case "adaptive":
            return floor + np.array(ADAPTIVE)[:, None]
        case "nearest":
            return (floor + (mantissa >= np.sqrt(0.5)))[None]
        case "ceil":
            return (floor + (mantissa > 0.5))[None]
        case "floor":
            return floor[None]
    raise ValueError(f"rule of exponents must be one of {', '.join(RULES)}, not {rule!r}")
