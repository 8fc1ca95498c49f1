"""Legal values of a configuration's fields: what is outside is refused, and the documentation shows them."""

from __future__ import annotations

from typing import NamedTuple

from triovit.hdl.isa.limits import reach
from triovit.hdl.isa.record import RECORD_BYTES

BLOCKS = (4, 8, 16)
MOST_PORTS = 4
LONGEST_BURST = 4096  # bytes: an AXI burst crosses no 4 KB boundary
# Field that sizes a buffer -> the buffer, in the words of `hdl.isa.limits`; C is as large as B.
SIZES = {
    "feature_bytes": "A",
    "output_bytes": "O",
    "weight_bytes": "B",
    "parameter_bytes": "P",
    "attention_bytes": "K",
    "divisors": "divisor",
}
FEWEST = 16  # a buffer has so many blocks of words, the divisor buffer so many codes


class Range(NamedTuple):
    """Whole numbers from `low` to `high`, powers of two only if so said, else multiples of `step`. scope: which
    configurations it is for; reason: why there is no more."""

    low: int
    high: int
    power_of_two: bool = False
    scope: str = ""
    reason: str = ""
    step: int = 1

    def fault(self, name: str, value: int) -> str:
        """What is wrong with a field's value; empty when it is legal."""
        power = not (self.power_of_two and value & (value - 1))
        if self.low <= value <= self.high and power and value % self.step == 0:
            return ""
        kind = "a power of two in " if self.power_of_two else f"a multiple of {self.step} in " if self.step > 1 else ""
        reason = f": {self.reason}" if self.reason and value > self.high else ""
        return f"{name} must be {kind}{self.low}..{self.high}{self.scope}, not {value}{reason}"


def ranges(block: int, data_bytes: int, ports: int = 1) -> dict[str, Range]:
    """Range of each field but `name` and `block`, on which, with the width of the bus, some depend."""
    # A beat of each port is written into the banks of a weight buffer in one cycle, and those are `block` words wide.
    widest = max(block, min(128, block * block) // ports)
    beats = min(256, max(1, LONGEST_BURST // data_bytes))
    return {
        "cores": Range(1, 64),
        "ports": Range(1, MOST_PORTS, True),
        "data_bytes": Range(block, widest, True, f" for block {block}{f' and {ports} ports' if ports > 1 else ''}"),
        **{name: _size(name, block, data_bytes) for name in SIZES},
        "accumulator_bits": Range(24, 32),
        "norm_lanes": Range(1, block, scope=f" for block {block}"),
        "queue_depth": Range(2, 64),
        "read_bursts": Range(1, 64, True),
        "write_bursts": Range(1, 64, True),
        "burst_beats": Range(1, beats, True, reason=f"burst_beats * data_bytes is at most {LONGEST_BURST}"),
    }


def banks(block: int, data_bytes: int) -> dict[str, int]:
    """RAMs that each buffer consists of, by its name in `AcceleratorConfig.words`; a word of each is a row.

    A's windows and the weights of all lanes are `block` words, a channel block's records RECORD_BYTES. O has as many as
    a beat, but no fewer than two: a word is read for the engines while another is written.
    """
    beat = data_bytes // block
    return {"A": block, "O": max(beat, 2), "B": block, "C": block, "P": RECORD_BYTES, "K": block, "divisor": 1}


def _size(name: str, block: int, data_bytes: int) -> Range:
    """Range of a buffer's size: a word is `block` bytes, a divisor code counts as one; it is whole rows."""
    buffer = SIZES[name]
    narrow = reach(buffer)
    fewest, word = (FEWEST, 1) if name == "divisors" else (FEWEST * block, block)
    reason = f"instruction field {narrow.field} addresses {narrow.words} words"
    step = word * banks(block, data_bytes)[buffer]
    return Range(word * fewest, word * narrow.words, reason=reason, step=step)
