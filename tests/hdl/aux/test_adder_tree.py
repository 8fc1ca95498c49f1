import numpy as np
import pytest
from amaranth.sim import Simulator

from triovit.hdl.aux.adder_tree import AdderTree
from triovit.sim.bench import run_bench


@pytest.mark.parametrize("inputs", [2, 3, 5, 8, 13])
@pytest.mark.parametrize("width", [1, 8])
def test_sums(inputs, width):
    tree, generator = AdderTree(inputs, width), np.random.default_rng(inputs)
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    vectors = generator.integers(low, high, size=(60, inputs), endpoint=True)
    vectors[:2] = [[low] * inputs, [high] * inputs]
    results = []

    async def bench(ctx):
        for k in range(len(vectors) + tree.latency):
            ctx.set(tree.i, vectors[min(k, len(vectors) - 1)].tolist())
            ctx.set(tree.en, 1)
            if k >= tree.latency:
                results.append(ctx.get(tree.o))
            await ctx.tick()
            if k % 3 == 0:  # frozen: nothing moves whatever the input does
                ctx.set(tree.en, 0)
                ctx.set(tree.i, [0] * inputs)
                await ctx.tick()

    simulator = Simulator(tree)
    simulator.add_clock(1e-8)
    simulator.add_testbench(bench)
    simulator.run()
    assert results == [sum(int(x) for x in vector) for vector in vectors] == tree.model(vectors).tolist()


def test_one_input():
    tree, results = AdderTree(1, 8), []

    async def bench(ctx):
        for value in (-128, 0, 127):
            ctx.set(tree.i, [value])
            results.append(ctx.get(tree.o))

    simulator = Simulator(tree)
    simulator.add_testbench(bench)
    simulator.run()
    assert results == [-128, 0, 127]


def test_shape():
    tree = AdderTree(9, 16)
    assert (tree.latency, tree.o.shape().width, tree.o.shape().signed) == (4, 20, True)
    assert tree.en.shape().width == 1
    assert AdderTree(1, 4).latency == 0
    AdderTree(1024, 32)  # the limits themselves are legal


def test_model_sums_the_last_axis():
    values = np.arange(24).reshape(2, 3, 4)
    assert AdderTree(4, 8).model(values).tolist() == [[6, 22, 38], [54, 70, 86]]


def test_model_refuses():
    tree = AdderTree(4, 8)
    with pytest.raises(OverflowError, match="adder tree input"):
        tree.model([[0, 0, 0, 128]])
    with pytest.raises(ValueError, match="last axis of 4, not 3"):
        tree.model([[0, 0, 0]])


@pytest.mark.parametrize(
    "inputs, width, error, text",
    [
        (0, 8, ValueError, "inputs must be 1..1024, not 0"),
        (1025, 8, ValueError, "inputs must be 1..1024, not 1025"),
        (8, 0, ValueError, "width must be 1..32, not 0"),
        (8, 33, ValueError, "width must be 1..32, not 33"),
        (8.0, 8, TypeError, "inputs must be an integer, not 8.0"),
        (8, False, TypeError, "width must be an integer, not False"),
    ],
)
def test_parameters(inputs, width, error, text):
    with pytest.raises(error, match=text):
        AdderTree(inputs, width)


@pytest.mark.parametrize("inputs, width", [(8, 16), (11, 5)])
def test_bench(inputs, width):
    run_bench(
        AdderTree(inputs, width),
        "tests.hdl.aux.bench_adder_tree",
        name="adder_tree",
        parameters={"inputs": inputs, "width": width},
    )
