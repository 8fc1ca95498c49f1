"""cocotb bench of AdderTree: a vector a cycle, random en, against a delay line of exact sums."""

from __future__ import annotations

import random
from collections import deque

import cocotb

from tests.hdl.cocotb_registers import compare_cycles
from triovit.hdl.aux.adder_tree import AdderTree
from triovit.sim.bench import bench_parameters, random_value


@cocotb.test()
async def random_vectors(dut):
    tree = AdderTree(**bench_parameters())
    choose, sums = random.Random(tree.inputs), deque([0] * tree.latency, tree.latency)
    lowest = -(1 << (tree.width - 1))
    limits = ([lowest] * tree.inputs, [-lowest - 1] * tree.inputs)

    def inputs():
        for k in range(4000):
            vector = choose.choice((*limits, *(random_value(tree.i.shape(), choose) for _ in range(3))))
            yield {"i": vector, "en": int(k < tree.latency or choose.random() < 0.7)}

    def reference(values):
        output = {"o": sums[-1]}
        if values["en"]:
            sums.appendleft(sum(values["i"]))
        return output

    await compare_cycles(dut, tree, reference, inputs(), settle=tree.latency)
