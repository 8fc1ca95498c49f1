"""How long work took on this machine, told before the same kind of work is done again."""

from __future__ import annotations

import json
from contextlib import suppress

from triovit.flow.progress import clock_time
from triovit.golden.files import whole_file
from triovit.sim.cache import build_root

FILE = "durations.json"  # in the folder of builds: kind of work -> kB of its input, seconds


def record(kind: str, kilobytes: int, seconds: float) -> None:
    """Keep how long work of this kind took; nothing is kept where nothing can be written."""
    path = build_root() / FILE
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as partial:
            known = _read() | {kind: {"kilobytes": kilobytes, "seconds": seconds}}
            partial.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")


def earlier(kind: str) -> str:
    """'; the last one here took 12:05 for 978 kB', or nothing when there was none."""
    match _read().get(kind):
        case {"kilobytes": int(kilobytes), "seconds": int() | float() as seconds}:
            return f"; the last one here took {clock_time(seconds)} for {kilobytes:,} kB"
    return ""


def _read() -> dict[str, object]:
    try:
        known = json.loads((build_root() / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none yet, or of another hand
        return {}
    return known if isinstance(known, dict) else {}
