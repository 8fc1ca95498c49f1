"""Plain Verilog names in place of escaped ones.

Amaranth calls the fields and elements of a signal `x` "x.field" and "x[3]", a second signal `x` of a module "x$7", and
a value without a name "$5". Verilog can write all of these (`\\x[3] `), but tools trip over them: Yosys' ABC9 makes
wires of the name "x[3]" for the bits of `x`, and stops on the second one (YosysHQ/yosys issue 4349).
"""

from __future__ import annotations

import re
from collections.abc import Container

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# A string, which may hold a backslash; an escaped name, which ends at a blank; any other word.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\\(?P<escaped>\S+) |(?P<word>[A-Za-z_]\w*)')


def plain_name(name: str) -> str:
    """Identifier for any name: `x[3].y` becomes x__3__y, `x$7` x_7, `$5` _5."""
    plain = re.sub(r"[^A-Za-z0-9_]", "_", re.sub(r"[.\[]", "__", name.replace("]", "")))
    return plain if IDENTIFIER.fullmatch(plain) else f"_{plain}"


def unique_name(name: str, taken: Container[str]) -> str:
    """The name, with a number behind it if it is taken."""
    candidate, index = name, 1
    while candidate in taken:
        candidate, index = f"{name}_{index}", index + 1
    return candidate


def with_plain_names(text: str) -> str:
    """Verilog with its escaped names replaced by plain ones that the text does not use yet.

    A name is replaced alike in all modules, since it may be that of a port. Escaped keywords stay: without the
    backslash they would be keywords.
    """
    taken = {match["word"] for match in _TOKEN.finditer(text) if match["word"]}
    names: dict[str, str] = {}

    def replace(match: re.Match) -> str:
        name = match["escaped"]
        if name is None or IDENTIFIER.fullmatch(name):
            return match[0]
        if name not in names:
            names[name] = unique_name(plain_name(name), taken)
            taken.add(names[name])
        return names[name]

    return _TOKEN.sub(replace, text)
