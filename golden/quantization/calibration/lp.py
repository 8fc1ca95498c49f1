"""The range with the least L_p quantization error (OMSE for p = 2), found on histograms.

The search is the one of Trio-ViT's release: both ends of a tensor's range shrink together in 80 steps of 1 %, and the
one with the least sum of |x - Q(x)|**p stays, p = 2.4. Q is the encoding that the range and the tensor's rule give,
with the saturation of int8 (smoothing factors and exponents of powers of two are chosen later, from the range). Among
groups that share a scale the widest one shrinks, another is cut where it is wider than what the scale covers, and the
errors of all of them decide.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from triovit.golden.quantization.calibration.histogram import BINS, Histogram
from triovit.golden.quantization.calibration.observers import Range
from triovit.golden.quantization.encoding import LEVELS, SMALLEST_SCALE, Encoding, encode, range_scales
from triovit.golden.quantization.rules import TensorRule

STEPS = 80
SHRINKING = 0.01
TIE = 1e-9  # relative: of errors this close the widest range wins, whatever the last bits of a machine's powers are
NARROWEST = 2.0**-20  # of the width that the scale covers: the width that a group of equal values counts with
BLOCK = 32  # groups at a time, so that their bins stay in a cache


class LpObserver(Histogram):
    """Range with the least sum of |x - Q(x)|**p over all values of the groups that share a scale.

    norm: p, positive. rule: of the tensor. Values count as uniform within each of the 2048 bins, and the error is
    integrated exactly over a bin, which may be as wide as 0.6 steps of the quantizer. Where only attention reads the
    tensor, values of q and k below 0 count as 0. Channels at the smallest scale of `range_scales` keep their range.

    The search for a scale ends early where the error is above twice that of the whole range: a whole range has rounding
    errors only, which a smaller step does not increase, so that the cut values alone are then worse than it, and what
    they cost can but rise.
    """

    def __init__(self, name: str, full: Range, norm: float, rule: TensorRule):
        super().__init__(name, full, rule.group)
        self._norm = norm
        self._rule = rule

    def range(self) -> Range:
        """Raises QuantizationError if nothing was observed."""
        scales = range_scales(self.full, self._rule)
        own = range_scales(self.full, replace(self._rule, scales=len(self.full.low)))  # of each group alone
        members = len(own) // len(scales)
        unit = scales.repeat(members) * LEVELS
        density, edges = self._density(unit)
        best, least, limit = np.ones(len(scales)), *np.full((2, len(scales)), np.inf)
        going = np.flatnonzero(scales > scales.max() * SMALLEST_SCALE)
        for share in 1 - SHRINKING * np.arange(STEPS):
            groups = (going[:, None] * members + np.arange(members)).flatten()
            shared = scales[going] * share
            candidate = _shrunk(_taken(self.full, groups), shared.repeat(members), own[groups])
            encoding = encode(candidate, replace(self._rule, scales=len(going)), shared)
            errors = self._errors(groups, encoding, unit, density, edges).reshape(-1, members).sum(axis=1)
            better = errors < least[going] * (1 - TIE)
            best[going[better]], least[going[better]] = share, errors[better]
            if share == 1:
                limit[going] = 2 * errors
            going = going[errors <= limit[going]]
            if not len(going):
                break
        return _shrunk(self.full, (scales * best).repeat(members), own).rounded()

    def _density(self, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values a unit of length, (groups, bins), and edges of bins in units, (groups, bins + 1). unit: a group."""
        low, width = self.full.low / unit, np.maximum((self.full.high - self.full.low) / unit, NARROWEST)
        edges = low[:, None] + width[:, None] * (np.arange(BINS + 1) / BINS)
        if self._rule.rectified:
            unused = np.arange(len(low)) % 3 < 2  # q and k of q, k, v
            edges[unused] = np.maximum(edges[unused], 0)
        return self.counts() * (BINS / width[:, None]), edges

    def _errors(
        self, groups: np.ndarray, encoding: Encoding, unit: np.ndarray, density: np.ndarray, edges: np.ndarray
    ) -> np.ndarray:
        """Sums of |x - Q(x)|**p, in units**p, of some groups with an encoding; unit, density, edges: of all groups.

        With e = x - Q(x) and n = Q(x) / step, an antiderivative of |e|**p is sign(e) |e|**(p + 1) / (p + 1) plus n
        times the integral over one step: it has no jumps, and it is right beyond the last level too.
        """
        power, errors = self._norm + 1, np.empty(len(groups))
        steps, zero_points = (v.reshape(len(groups), -1)[:, :1] for v in (encoding.scale, encoding.zero_point))
        for start in range(0, len(groups), BLOCK):
            block = slice(start, start + BLOCK)
            chosen, zero_point = groups[block], zero_points[block]
            x, step = edges[chosen], steps[block] / unit[chosen, None]
            level = np.clip(np.rint(x / step), -128 - zero_point, 127 - zero_point)
            error = x - level * step
            integral = np.copysign(np.abs(error) ** power, error) + level * (2 * (step / 2) ** power)
            errors[block] = (np.diff(integral, axis=1) * density[chosen]).sum(axis=1) / power
        return errors


def _taken(full: Range, groups: np.ndarray) -> Range:
    return Range(full.low[groups], full.high[groups])


def _shrunk(full: Range, scale: np.ndarray, own: np.ndarray) -> Range:
    """Both ends of each group's range times a common factor, so that the group fits the scale; own: fits all of it."""
    factor = np.minimum(1, scale / own)
    return Range(full.low * factor, full.high * factor)
