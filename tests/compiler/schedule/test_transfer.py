"""Transfers fit the fields of LOAD and STORE."""

import pytest

from triovit.compiler.memory.layout import TensorLayout
from triovit.compiler.schedule.transfer import LIMITS, map_transfer


@pytest.mark.parametrize(("side", "words", "rows"), [(255, 255 * 255, 1), (256, 256, 256)])
def test_rows_become_one_run_while_a_run_can_hold_them(side, words, rows):
    """256 x 256 words are one more than the field `words` can say."""
    layout = TensorLayout("t", "map", (8, side, side), 0, 0, 8, side * side * 8)
    place = {"plane": 0, "planes": 1, "row": 0, "rows": side, "column": 0, "columns": side}
    (transfer,) = map_transfer(layout, **place, local_row=side, local_plane=side * side)
    assert (transfer.words, transfer.rows) == (words, rows)
    assert all(value <= LIMITS[name] for name, value in transfer.fields(0).items())
