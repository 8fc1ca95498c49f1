import pytest

from tests.hdl.dma.dma import CONFIGS, DMA
from triovit.sim.bench import run_bench


@pytest.mark.parametrize("config", ["tiny", "core", "wide", "widest"])
def test_bench(config):
    run_bench(DMA(CONFIGS[config]), "tests.hdl.control.bench_fetch", name="dma", parameters={"config": config})
