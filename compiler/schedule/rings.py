"""Places in the on-chip buffers: rings of words, given out in rising order, and tiles that live for several steps."""

from __future__ import annotations

from dataclasses import dataclass, field

from triovit.compiler.memory.layout import align
from triovit.compiler.schedule.transfer import Transfer


def span(first: int, count: int) -> str:
    """`count` numbers from `first` on, as text: "4" or "4..7"."""
    return f"{first}" if count == 1 else f"{first}..{first + count - 1}"


@dataclass(eq=False)
class Place:
    """Words of a ring ("A", "O", "K", "P", or "W" for buffers B and C), and what memory brings there.

    address: the first word, None before the place is given out.
    """

    ring: str
    words: int
    loads: list[Transfer] = field(default_factory=list)
    address: int | None = None

    @property
    def at(self) -> int:
        """The first word. Raises RuntimeError before the place is given out."""
        if self.address is None:
            raise RuntimeError(f"{self.words} words of buffer {self.ring} have no place yet")
        return self.address

    def __str__(self) -> str:
        if self.address is None:
            return f"{self.words} words of {self.ring}"
        return f"{self.ring} {span(self.address, self.words)}"


@dataclass(eq=False)
class Area(Place):
    """A place that one step works in. stores: what goes from there to memory."""

    stores: list[Transfer] = field(default_factory=list)

    def __str__(self) -> str:
        moves = (("load", len(self.loads)), ("store", len(self.stores)))
        text = ", ".join(f"{count} {name}{'s' if count > 1 else ''}" for name, count in moves if count)
        return super().__str__() + (f" ({text})" if text else "")


@dataclass(eq=False)
class Tile(Place):
    """Constants that stay on chip from the first to the last step that names them, in ring "W" or "P".

    loads: in the order of their use; the first `loaded` have been issued.
    """

    last_step: int = -1
    loaded: int = 0


def complete(*tiles: Tile) -> list[tuple[Tile, int]]:
    """Constants of a step that needs all of its tiles."""
    return [(tile, len(tile.loads)) for tile in tiles]


class Ring:
    """Words of a buffer, given out in rising order, from the beginning again at the end."""

    def __init__(self, words: int):
        self.words, self.pointer = words, 0

    def join(self, words: int) -> None:
        """The next `words` words follow each other, whatever parts they are taken in: from the beginning on, if they do
        not fit before the end. The caller has checked that they fit the buffer."""
        if self.pointer + words > self.words:
            self.pointer = 0

    def take(self, words: int) -> int:
        """Address of the next `words` words. The caller has checked that they fit the buffer."""
        self.join(words)
        address = self.pointer
        self.pointer += words
        return address

    def extend(self, end: int, words: int) -> bool:
        """Take the `words` words from `end` on, if they follow what was given out last and fit."""
        if self.pointer != end or end + words > self.words:
            return False
        self.pointer += words
        return True


@dataclass(eq=False)
class TileRing:
    """Places of tiles that live for several steps, each at a multiple of `row` words."""

    words: int
    row: int
    pointer: int = 0
    tiles: list[Tile] = field(default_factory=list)

    def place(self, tile: Tile, step: int) -> bool:
        """Give a tile a place that no tile used in or after `step` occupies; False when there is none."""
        live = [t for t in self.tiles if t.last_step >= step]
        starts = [self.pointer, 0, *sorted(self._end(t, t.at) for t in live)]
        for start in starts:
            end = self._end(tile, start)
            if end <= self.words and all(end <= t.at or self._end(t, t.at) <= start for t in live):
                self.tiles = [t for t in self.tiles if end <= t.at or self._end(t, t.at) <= start]
                self.tiles.append(tile)
                tile.address, self.pointer = start, end
                return True
        return False

    def _end(self, tile: Tile, start: int) -> int:
        """The first word behind the rows that a tile takes."""
        return start + align(tile.words, self.row)
