"""Transfers fit the fields of LOAD and STORE."""

import pytest

from triovit.compiler.memory.layout import TensorLayout
from triovit.compiler.schedule.transfer import LIMITS, Part, map_transfer


@pytest.mark.parametrize(("side", "words", "rows"), [(255, 255 * 255, 1), (256, 256, 256)])
def test_rows_become_one_run_while_a_run_can_hold_them(side, words, rows):
    """256 x 256 words are one more than the field `words` can say."""
    layout = TensorLayout("t", "map", (8, side, side), 0, 0, 8, side * side * 8)
    (transfer,) = map_transfer(layout, Part.of_planes(layout, 0, 1))
    assert (transfer.words, transfer.rows) == (words, rows)
    assert all(value <= LIMITS[name] for name, value in transfer.fields(0).items())


def test_a_part_of_a_map():
    """Rows 1 and 2, columns -1 to 3 of the planes 2 and 4, with gaps on chip or without."""
    layout = TensorLayout("t", "map", (40, 4, 6), 1000, 1, 8, 400)
    part = Part(2, 2, 1, 2, -1, 5, plane_step=2)
    (dense,) = map_transfer(layout, part)
    assert (dense.words, dense.rows, dense.planes) == (5, 2, 2)
    assert (dense.local, dense.local_row, dense.local_plane) == (0, 5, 10)
    assert (dense.memory, dense.memory_row, dense.memory_plane) == (1000 + 2 * 400 + 2 * 8 * 8, 8 * 8, 2 * 400)
    (apart,) = map_transfer(layout, part, local=3, local_row=7, local_plane=50)
    assert (apart.local, apart.local_row, apart.local_plane, apart.memory) == (3, 7, 50, dense.memory)
