"""Names of the instruction set and what is derived from them."""

import pytest

from triovit.hdl.isa.names import QUEUED_UNITS, Destination, Opcode, Unit


def test_units_with_a_queue():
    assert [unit.name for unit in QUEUED_UNITS] == ["LOAD", "STORE", "RMAC", "MAT"]
    assert {Unit(opcode >> 4) for opcode in Opcode} == {Unit.FETCH, *QUEUED_UNITS}


def test_positions_of_destinations():
    assert {d.name: d.position for d in Destination} == {"O": 0, "A": 1, "K": 2, "DIVISOR": 3}
    for mask in (Destination(0), Destination.O | Destination.A):
        with pytest.raises(ValueError, match="is not one destination"):
            _ = mask.position
