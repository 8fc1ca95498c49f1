"""Control and DMA keep to 5 ns by the timing model, component by component, ports counted as registers.

Paths that cross components show in a synthesis of the whole machine only, which takes minutes:
`triovit generate --config trio-core -o FOLDER --synthesize xcup`.
"""

import pytest

from triovit.flow.silicon.netlist import read_netlist
from triovit.flow.silicon.timing import analyze
from triovit.flow.synthesis import synthesize
from triovit.hdl.compute.engines import computing, pipelines_of
from triovit.hdl.compute.pair_control import PairControl
from triovit.hdl.compute.results import ResultControl
from triovit.hdl.config.accelerator import PRESETS
from triovit.hdl.control.controller import Controller
from triovit.hdl.control.fetch import FetchUnit
from triovit.hdl.control.semaphores import Semaphores
from triovit.hdl.dma.load import LoadUnit
from triovit.hdl.dma.read_master import ReadMaster
from triovit.hdl.dma.store import StoreUnit
from triovit.hdl.dma.write_master import WriteMaster
from triovit.hdl.emit.verilog import emit_verilog

pytestmark = pytest.mark.slow

CLOCK = 5.0  # ns
CORE, PORTS = PRESETS["trio-core"], PRESETS["trio-zcu102"]
UNITS = 5
COMPONENTS = {
    "pair control": lambda: PairControl(CORE),
    "result control": lambda: ResultControl(CORE, computing(pipelines_of(CORE))),
    "controller": lambda: Controller(UNITS, UNITS),
    "semaphores": lambda: Semaphores(UNITS, UNITS),
    "fetch": lambda: FetchUnit(CORE),
    "load": lambda: LoadUnit(CORE),
    "store": lambda: StoreUnit(CORE),
    "load, several ports": lambda: LoadUnit(PORTS),
    "store, several ports": lambda: StoreUnit(PORTS),
    "read master": lambda: ReadMaster(CORE.data_bytes, CORE.read_bursts),
    "write master": lambda: WriteMaster(CORE.data_bytes, CORE.write_bursts),
}


@pytest.mark.parametrize("name", COMPONENTS)
def test_no_path_is_longer_than_the_clock(name, tmp_path):
    synthesis = synthesize(emit_verilog(COMPONENTS[name](), "part").write(tmp_path), "xcup", "part")
    timing = analyze(read_netlist(synthesis.netlist, "part"), "xcup", CLOCK, 1)
    longest = timing.families[0]
    assert timing.endpoints > 50
    assert timing.above == 0, f"{longest.delay:.2f} ns: {longest.start} -> {longest.end}"
