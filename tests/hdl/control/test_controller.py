import pytest
from amaranth.sim import Simulator

from triovit.hdl.control.controller import RESET_CYCLES, Controller
from triovit.hdl.isa.names import ErrorCode

FLAGS = ("busy", "done", "error", "interrupt", "bursts", "halt", "reset_units", "running", "irq")


class Bench:
    """A controller under Amaranth's simulator; `flags` names what is high."""

    def __init__(self, ctx, dut):
        self.ctx, self.dut = ctx, dut

    def _port(self, name):
        """A member of the controller, or of its commands or status."""
        for bundle in (self.dut.commands, self.dut.status):
            if name in bundle.signature.members:
                return getattr(bundle, name)
        return getattr(self.dut, name)

    def set(self, **values):
        for name, value in values.items():
            self.ctx.set(self._port(name), value)

    async def pulse(self, name, cycles=1):
        self.ctx.set(self._port(name), 1)
        await self.tick(cycles)
        self.ctx.set(self._port(name), 0)

    async def tick(self, cycles=1):
        await self.ctx.tick().repeat(cycles)

    def fail(self, unit, code=0, index=0, valid=1):
        self.ctx.set(self.dut.unit_error[unit], {"valid": valid, "code": code, "index": index})

    def finish(self, source, index=0, valid=1):
        self.ctx.set(self.dut.finish[source], valid)
        self.ctx.set(self.dut.finish_index[source], index)

    @property
    def flags(self):
        return {name for name in FLAGS if self.ctx.get(self._port(name))}

    @property
    def error(self):
        return ErrorCode(self.ctx.get(self.dut.status.error_code)), self.ctx.get(self.dut.status.error_index)


def run(scenario, *, integrity=False):
    dut = Controller(5, 4, integrity=integrity)

    async def bench(ctx):
        b = Bench(ctx, dut)
        b.set(bus_idle=1, interrupt_enable=1)
        await b.tick()
        await scenario(b)

    sim = Simulator(dut)
    sim.add_clock(1e-8)
    sim.add_testbench(bench)
    sim.run()


def test_run_and_finish():
    async def scenario(b):
        assert b.flags == set()
        b.set(start=1)
        assert b.ctx.get(b.dut.begin) == 1
        await b.tick()
        assert b.ctx.get(b.dut.begin) == 0  # start is ignored while busy
        b.set(start=0, bus_idle=0)
        await b.tick(50)
        assert b.flags == {"busy", "running", "bursts"}
        b.set(bus_idle=1)
        await b.pulse("finished")
        await b.tick()
        assert b.flags == {"done", "interrupt", "irq"} and b.error == (ErrorCode.NONE, 0)
        b.set(interrupt_enable=0)
        assert b.flags == {"done", "interrupt"}
        await b.pulse("acknowledge_interrupt")
        assert b.flags == {"done"}
        b.set(interrupt_enable=1)
        await b.pulse("start")
        assert b.flags == {"busy", "running"}  # the next start clears done
        await b.pulse("finished")
        await b.tick()
        await b.pulse("acknowledge_done")
        assert b.flags == {"interrupt", "irq"}

    run(scenario)


def test_first_error_stops():
    """Lowest index first, later errors change nothing, start does nothing, busy until the bursts have ended."""

    async def scenario(b):
        await b.pulse("start")
        b.set(bus_idle=0)
        b.fail(3, ErrorCode.ILLEGAL_FIELD, 33)
        b.fail(1, ErrorCode.MEMORY_ADDRESS, 11)
        b.set(finished=1)
        assert "halt" not in b.flags
        await b.tick()
        for unit in (1, 3):
            b.fail(unit, valid=0)
        b.set(overflow=1, broken=1, finished=0)  # of the same cycle: they come through a register
        assert "halt" not in b.flags
        await b.tick()
        b.set(overflow=0, broken=0)
        assert b.flags == {"busy", "error", "interrupt", "irq", "halt", "bursts"}
        assert Controller.latency == 2 and b.error == (ErrorCode.MEMORY_ADDRESS, 11)
        b.fail(0, ErrorCode.READ_SLVERR, 5)
        await b.pulse("start", 3)
        b.fail(0, valid=0)
        assert b.error == (ErrorCode.MEMORY_ADDRESS, 11) and "running" not in b.flags
        b.set(bus_idle=1)
        await b.tick()
        assert b.flags == {"error", "interrupt", "irq", "halt"}
        await b.pulse("acknowledge_interrupt")
        assert b.flags == {"error", "halt"}

    run(scenario)


@pytest.mark.parametrize("stopped", [False, True])
@pytest.mark.parametrize("bus_idle", [0, 1])
def test_soft_reset(stopped, bus_idle):
    """Whatever the memory does: RESET_CYCLES of reset, two for the units to leave it, and the machine is as new."""

    async def scenario(b):
        await b.pulse("start")
        b.set(bus_idle=bus_idle)
        if stopped:
            b.fail(2, ErrorCode.ILLEGAL_FIELD, 7)
        await b.tick(3)
        b.fail(2, ErrorCode.READ_SLVERR, 5)  # nobody cares any more
        await b.pulse("soft_reset")
        bursts = set() if bus_idle else {"bursts"}
        for _ in range(RESET_CYCLES):
            assert b.flags == {"busy", "halt", "reset_units", *bursts} and b.error == (ErrorCode.NONE, 0)
            await b.tick()
        b.fail(2, valid=0)
        for _ in range(2):
            assert b.flags == {"busy", "halt", *bursts} and b.error == (ErrorCode.NONE, 0)
            await b.pulse("soft_reset")  # is under way
        assert b.flags == bursts
        # Both commands at once: reset.
        b.set(start=1, soft_reset=1)
        assert b.ctx.get(b.dut.begin) == 0
        await b.tick()
        b.set(start=0, soft_reset=0)
        assert b.flags == {"busy", "halt", "reset_units", *bursts}
        await b.tick(RESET_CYCLES + 2)
        assert b.flags == bursts
        await b.pulse("start")
        assert b.flags == {"busy", "running", *bursts}

    run(scenario)


@pytest.mark.parametrize("code", [ErrorCode.SEMAPHORE_OVERFLOW, ErrorCode.BUS_PROTOCOL])
def test_errors_that_are_no_units(code):
    """They stop a cycle later, the rule of AXI first; both name what finished last, two cycles before."""
    strobe = "overflow" if code == ErrorCode.SEMAPHORE_OVERFLOW else "broken"

    async def scenario(b):
        await b.pulse("start")
        b.finish(2, 77)
        await b.tick()
        b.finish(2, 88)
        await b.tick()
        b.finish(2, 99)
        b.set(**({"overflow": 1} | {strobe: 1}))
        assert "halt" not in b.flags
        await b.tick()
        assert Controller.stop_latency == 1 and b.error == (code, 77) and "halt" in b.flags

    run(scenario)


@pytest.mark.parametrize("unit", range(5))
def test_every_source(unit):
    async def scenario(b):
        await b.pulse("start")
        b.fail(unit, ErrorCode.WRITE_DECERR, 0xFFFF0000 + unit)
        await b.tick()
        b.fail(unit, valid=0)
        await b.tick()
        assert b.error == (ErrorCode.WRITE_DECERR, 0xFFFF0000 + unit) and {"halt", "error"} <= b.flags

    run(scenario)


def test_faults_of_stored_words():
    """They go before all others of the cycle and take a cycle to `halt`; without a number it is that finished last."""

    async def scenario(b):
        fault = {"valid": 1, "code": ErrorCode.PROGRAM_PARITY, "place": 0, "known": 1, "index": 70}
        for known, place, index in ((0, 6, 33), (1, 3, 70)):
            await b.pulse("start")
            b.finish(2, 33)
            await b.tick()
            b.finish(2, valid=0)
            await b.tick(3)
            b.fail(0, ErrorCode.ILLEGAL_OPCODE, 5)
            await b.tick()
            b.fail(0, valid=0)
            b.set(fault=fault | {"place": place, "known": known}, overflow=1)
            await b.tick(b.dut.stop_latency)
            assert "halt" in b.flags and b.error == (ErrorCode.PROGRAM_PARITY, index)
            assert b.ctx.get(b.dut.status.error_place) == place
            b.set(fault=fault | {"valid": 0}, overflow=0)
            await b.tick(5)
            assert b.error == (ErrorCode.PROGRAM_PARITY, index)
            await b.pulse("soft_reset")
            await b.tick()
            assert b.error == (ErrorCode.NONE, 0) and b.ctx.get(b.dut.status.error_place) == 0
            await b.tick(RESET_CYCLES + 6)

    run(scenario, integrity=True)


def test_other_errors_have_no_place():
    async def scenario(b):
        for unit in range(5):
            await b.pulse("start")
            b.fail(unit, ErrorCode.LOCAL_ADDRESS, 9)
            await b.tick()
            b.fail(unit, valid=0)
            await b.tick(3)
            assert b.error == (ErrorCode.LOCAL_ADDRESS, 9) and b.ctx.get(b.dut.status.error_place) == 0
            await b.pulse("soft_reset")
            await b.tick(RESET_CYCLES + 6)

    run(scenario, integrity=True)


def test_errors_count_while_running_only():
    async def scenario(b):
        b.fail(0, ErrorCode.ILLEGAL_FIELD, 1)
        b.set(overflow=1, broken=1)
        await b.tick(3)
        assert b.flags == set() and b.error == (ErrorCode.NONE, 0)

    run(scenario)


@pytest.mark.parametrize("bus_idle", [0, 1])
def test_watchdog(bus_idle):
    """Exactly `watchdog` silent cycles; every finished instruction, from any source, starts anew; 0 is off."""
    flags = {"busy", "running"} if bus_idle else {"busy", "running", "bursts"}

    async def scenario(b):
        b.set(watchdog=10, bus_idle=bus_idle)
        await b.tick(30)  # not while ready
        await b.pulse("start")
        for source in range(4):
            await b.tick(9)
            b.finish(source, 40 + source)
            await b.tick()
            b.finish(source, valid=0)
        await b.tick(10 + Controller.latency)
        assert b.flags == flags
        await b.tick()
        code = ErrorCode.WATCHDOG if bus_idle else ErrorCode.BUS_TIMEOUT
        assert "halt" in b.flags and "error" in b.flags and b.error == (code, 43)
        await b.pulse("soft_reset")
        await b.tick(10)
        b.set(watchdog=0)
        await b.pulse("start")
        await b.tick(60)
        assert b.flags == flags

    run(scenario)


@pytest.mark.parametrize(
    "units, finishers, error, text",
    [
        (0, 1, ValueError, "units must be 1..8, not 0"),
        (1, 9, ValueError, "finishers must be 1..8, not 9"),
        (None, 1, TypeError, "units must be an integer, not None"),
    ],
)
def test_parameters(units, finishers, error, text):
    with pytest.raises(error, match=text):
        Controller(units, finishers)
