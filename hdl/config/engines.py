"""The units of a configuration, and the semaphores between them."""

from __future__ import annotations

from collections.abc import Sequence

from triovit.hdl.config.accelerator import AcceleratorConfig, ConfigurationError
from triovit.hdl.isa.engines import ENGINES, Engine
from triovit.hdl.isa.instructions import SEMAPHORES
from triovit.hdl.isa.names import Unit


def engines_of(config: AcceleratorConfig) -> tuple[Engine, ...]:
    """The units of a configuration, FETCH excepted."""
    return ENGINES[config.family]


def semaphores(engines: Sequence[Engine]) -> dict[tuple[Unit, Unit], int]:
    """Number of the semaphore of each ordered pair (giver, taker) of units that needs one.

    Numbers do not depend on units that come later in the list: those of LOAD, STORE, RMAC and MAT are 4 * giver +
    taker, counted from LOAD, as in all programs that were ever saved; pairs of further units take what is free, in the
    order of the list. Raises ConfigurationError when there are more pairs than semaphores.
    """
    order = [engine.unit for engine in engines]
    pairs = [(giver.unit, taker.unit) for giver in engines for taker in engines if taker.may_wait_for(giver)]
    if len(pairs) > SEMAPHORES:
        raise ConfigurationError(
            f"units {', '.join(unit.name for unit in order)} need {len(pairs)} semaphores, one for each pair that "
            f"shares a buffer; the machine has {SEMAPHORES}: use fewer units, or units that share fewer buffers"
        )
    numbers = {pair: 4 * (pair[0] - 1) + pair[1] - 1 for pair in pairs if max(pair) <= Unit.MAT}
    free = iter(sorted(set(range(SEMAPHORES)) - set(numbers.values())))
    further = sorted((pair for pair in pairs if pair not in numbers), key=lambda pair: max(map(order.index, pair)))
    return numbers | {pair: next(free) for pair in further}
