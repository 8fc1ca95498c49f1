"""Timing of a netlist: the families of FPGAs that have a model, and what a report says of the longest paths."""

from __future__ import annotations

from dataclasses import dataclass

from triovit.flow.errors import UsageError
from triovit.flow.output import show
from triovit.flow.silicon.delays import ULTRASCALE_PLUS, Delays, Stage
from triovit.flow.silicon.graph import Describe, TimingGraph
from triovit.flow.silicon.netlist import Netlist
from triovit.flow.silicon.paths import LongestPaths, PathFamily
from triovit.flow.silicon.ultrascale import describe

MODELS: dict[str, tuple[Describe, Delays]] = {"xcup": (describe, ULTRASCALE_PLUS)}
BAR = 40  # characters of the longest bar of a histogram
PLACES = 6  # instances on a path that are told


@dataclass(frozen=True)
class Timing:
    """Longest paths of a design against a clock's period (ns). above: endpoints that are later than that.

    slacks: lower edge of each class of 0.5 ns -> endpoints.
    """

    clock: float
    worst: float
    endpoints: int
    above: int
    slacks: dict[float, int]
    families: list[PathFamily]
    delays: Delays

    def report(self) -> dict:
        """As JSON can hold it."""
        return {
            "clock": self.clock,
            "worst": round(self.worst, 3),
            "endpoints": self.endpoints,
            "above": self.above,
            "slacks": [{"from": edge, "endpoints": count} for edge, count in self.slacks.items()],
            "paths": [_path(family) for family in self.families],
            "delays": self.delays.table(),
        }


def analyze(netlist: Netlist, device: str, clock: float, most: int) -> Timing:
    """Timing by the model of a device's family; `most` families of paths.

    Raises UsageError for a device without a model, and CombinationalLoop.
    """
    if device not in MODELS:
        raise UsageError(f"the timing model must be for one of {', '.join(MODELS)}, not {device}")
    model, delays = MODELS[device]
    paths = LongestPaths(TimingGraph(netlist, model, delays))
    return Timing(
        clock, paths.worst, len(paths.delays), paths.above(clock), paths.histogram(clock), paths.families(most), delays
    )


def _path(family: PathFamily) -> dict:
    return {
        "delay": round(family.delay, 3),
        "start": family.start,
        "end": family.end,
        "pin": family.pin,
        "endpoints": family.endpoints,
        "luts": family.count(Stage.LUT),
        "carries": family.count(Stage.CARRY),
        "dsps": family.count(Stage.DSP),
        "steps": [
            {"net": step.name, "arrival": round(step.arrival, 3), "stage": step.stage.name.lower(), "in": step.place}
            for step in family.steps
        ],
    }


def show_timing(timing: Timing) -> None:
    """The longest paths, a family each, and a histogram of slacks."""
    show(
        f"longest path {timing.worst:.2f} ns; {timing.above:,} of {timing.endpoints:,} endpoints above "
        f"{timing.clock:g} ns (model before placement: LUT {timing.delays.lut:g} ns, net {timing.delays.net:g} ns)"
    )
    for family in timing.families:
        show(f"{family.delay:6.2f} ns  {_levels(family)}; {_count(family.endpoints, 'endpoint')}")
        show(f"           {family.start} -> {family.end}{f' ({family.pin})' if family.pin else ''}")
        if len(places := family.through) > 1:
            rest = f" and {len(places) - PLACES} more" if len(places) > PLACES else ""
            show(f"           through {', '.join(places[:PLACES])}{rest}")
    show("slack, endpoints")
    most = max(timing.slacks.values(), default=1)
    for edge, count in timing.slacks.items():
        show(f"{edge:6.1f} ns {count:9,} {'#' * -(-BAR * count // most)}")


def _levels(family: PathFamily) -> str:
    counts = [(family.count(Stage.LUT), "LUT"), (family.count(Stage.CARRY), "carry"), (family.count(Stage.DSP), "DSP")]
    return ", ".join(_count(number, name) for number, name in counts if number) or "no logic"


def _count(number: int, name: str) -> str:
    plural = {"carry": "carries"}.get(name, f"{name}s")
    return f"{number:,} {name if number == 1 else plural}"
