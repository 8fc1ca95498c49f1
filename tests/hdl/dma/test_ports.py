import pytest

from tests.hdl.dma.dma import DMA, PORTS
from triovit.sim.bench import run_bench


@pytest.mark.parametrize("config", PORTS)
def test_bench(config):
    run_bench(DMA(PORTS[config]), "tests.hdl.dma.bench_ports", name="dma", parameters={"config": config})
