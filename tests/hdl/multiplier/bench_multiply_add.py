"""cocotb: MultiplyAdd, the behaviour in its hand-written Verilog, in every cycle."""

import cocotb

from tests.hdl.aux.kernels import check_kernel
from tests.hdl.multiplier.multiplied import Multiplied, draw
from triovit.sim.bench import bench_parameters


@cocotb.test()
async def every_cycle(dut):
    component = Multiplied(**bench_parameters())
    items = draw(component, 2000, seed=1)
    await check_kernel(dut, component, items, [component.model(item) for item in items])
