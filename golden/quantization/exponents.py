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
    exact = np.log2(scale)
    match rule:
        case "adaptive":
            return np.floor(exact) + np.array(ADAPTIVE)[:, None]
        case "nearest":
            return np.floor(exact + 0.5)[None]
        case "ceil":
            return np.ceil(exact)[None]
        case "floor":
            return np.floor(exact)[None]
    raise ValueError(f"rule of exponents must be one of {', '.join(RULES)}, not {rule!r}")
