"""What stored words that have changed are told as: one layout for everybody who stores some."""

from __future__ import annotations

import functools
import operator

from amaranth.hdl import Signal
from amaranth.lib import data

from triovit.hdl.isa.names import Storage, Unit

ALARMS = data.StructLayout({"corrected": 1, "failed": len(Storage), "queues": len(Unit), "program": 1})
"""A cycle's alarms. corrected: a word of an on-chip memory was. failed: a bit for each `Storage`, a word could not be.
queues: a bit for each `Unit`, a word of its queues was damaged. program: so was the instruction that FETCH is at."""


def joined(*alarms: data.View) -> data.View:
    """Alarms of several sources as one."""
    return data.View(ALARMS, functools.reduce(operator.or_, (part.as_value() for part in alarms)))


def alarm(name: str = "alarms", **fields) -> tuple[data.View, list]:
    """Alarms of one source, and the assignments to them. fields: by name; `failed` and `queues` as {member: a bit}."""
    made = Signal(ALARMS, name=name)
    assignments = []
    for field, value in fields.items():
        bits = value.items() if isinstance(value, dict) else ((None, value),)
        for member, bit in bits:
            assignments.append((made[field] if member is None else made[field][member]).eq(bit))
    return made, assignments
