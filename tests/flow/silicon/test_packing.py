"""Pairs of LUTs."""

import itertools
import random

import pytest

from tests.flow.silicon.netlists import lut, module, netlist
from triovit.flow.silicon import packing
from triovit.flow.silicon.packing import count_pairs, count_physical_luts


@pytest.mark.parametrize(
    ("luts", "pairs"),
    [
        ([], 0),
        (["abc"], 0),
        (["abc", "de"], 1),  # five inputs together
        (["abc", "def"], 0),
        (["abcde", "abcde"], 1),
        (["abcde", "abcdf"], 0),
        (["abcd", "abce"], 1),
        (["abcd", "abef"], 0),
        (["abcde", "e"], 1),
        (["ab", "cd", "ef"], 1),
        (["a", "b", "c", "defg"], 2),  # the large one takes one of the small ones, two are left
        (["abcd", "efgh", "i", "j"], 2),
        (["abcde", "f"], 0),
        (["abc", "abd", "abe"], 1),
        (["", ""], 1),
    ],
)
def test_pairs(luts, pairs):
    for order in itertools.islice(itertools.permutations(luts), 24):
        assert count_pairs([frozenset(map(ord, inputs)) for inputs in order]) == pairs


def most_pairs(luts):
    """The largest number of pairs, by trying all."""
    if len(luts) < 2:
        return 0
    first, rest = luts[0], luts[1:]
    joined = [1 + most_pairs(rest[:k] + rest[k + 1 :]) for k, other in enumerate(rest) if len(first | other) <= 5]
    return max([most_pairs(rest), *joined])


def test_pairs_are_nearly_the_most():
    """Never more than there can be, and hardly ever less."""
    rng, found, possible = random.Random(1), 0, 0
    for _ in range(60):
        luts = [frozenset(rng.sample(range(8), rng.randint(1, 5))) for _ in range(8)]
        most, pairs = most_pairs(luts), count_pairs(luts)
        assert pairs <= most
        found, possible = found + pairs, possible + most
    assert 0.95 * possible <= found


def test_nets_with_many_users_are_looked_at_in_part(monkeypatch):
    """Then LUTs that would fit stay alone, and those without a common input are still joined."""
    luts = [frozenset((1, 10 * k, 10 * k + 1)) for k in range(1, 5)]
    assert count_pairs(luts) == 2
    monkeypatch.setattr(packing, "LOOKED_AT", 1)
    assert count_pairs(luts) == 1  # everybody sees the first only


def test_luts_of_a_module(tmp_path):
    """Six inputs, and those that feed a carry, stay alone; constants are no inputs; other cells are no LUTs."""
    cells = {
        "six": lut([2, 3, 4, 5, 6, 7], 20),
        "carried": lut([2, 3], 21),
        "carry": ("CARRY4", {"S": [21, "0", "0", "0"], "DI": [22, "0", "0", "0"], "O": [30, 31, 32, 33]}),
        "a": lut([2, 3, 4, "0", "1", 5], 22),
        "b": lut([2, 3, 6], 23),
        "c": lut([3, 4, 5, 6, 7], 26),
        "d": lut([3, 4, 5, 6, 7], 27),
        "ff": ("FDRE", {"D": [23], "Q": [24]}),
        "inverter": ("INV", {"I": [23], "O": [25]}),
        "part": ("below", {"i": [2]}),
    }
    found = netlist(tmp_path, top=module({"i": [2, 3, 4, 5, 6, 7]}, cells=cells), below=module({"i": [2]}))
    assert count_physical_luts(found.modules["top"]) == 4
