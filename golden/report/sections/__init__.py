"""The sections of a report, a file each: a plot with the table of its numbers.

Each has `section(view)`, to be called inside `vector.style`; ORDER is that of the page.
"""

from __future__ import annotations

from triovit.golden.report.sections import divisors, ranges, saturation, schemes, sqnr, weights

ORDER = (sqnr.section, ranges.section, weights.section, schemes.section, divisors.section, saturation.section)
