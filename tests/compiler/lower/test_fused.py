"""Depthwise and pointwise layers as one pipeline: same tensors, fewer cycles, nothing between them in memory."""

from __future__ import annotations

import dataclasses
import math

import pytest

from tests.execution import check_network
from tests.networks import NetworkBuilder, efficientvit_like
from triovit.compiler import compile_network
from triovit.compiler.estimate import estimate
from triovit.compiler.schedule import pipeline
from triovit.golden.integer.network import IntegerNetwork
from triovit.hdl.config.accelerator import PRESETS
from triovit.hdl.isa.names import Opcode

CORE, TINY = PRESETS["trio-core"], PRESETS["trio-tiny"]


def block(channels: int, size: int, stride: int = 1, kernel: int = 3, expansion: int = 4) -> IntegerNetwork:
    b = NetworkBuilder("block", (3, size, size), size)
    b.conv("stem", channels)
    b.mbconv("mb", channels, stride=stride, kernel=kernel, expansion=expansion)
    b.conv("after", 8)
    return b.build()


def fused(program) -> list:
    """Convolutions that read buffer O."""
    return [i for i in program.instructions if i.opcode in (Opcode.RMAC_CONV, Opcode.MAT_CONV) and i.source]


@pytest.fixture
def forced(monkeypatch):
    """Everything that fits is fused, whether it gains time or not."""
    monkeypatch.setattr(pipeline, "_separate_cycles", lambda geometry: math.inf)


@pytest.mark.parametrize(
    "config", [CORE, TINY, dataclasses.replace(TINY, cores=3)], ids=["core", "tiny", "three cores"]
)
@pytest.mark.parametrize(
    "channels, size, stride, kernel",
    [(32, 28, 1, 3), (32, 29, 2, 3), (40, 14, 1, 5), (28, 21, 1, 3), (16, 40, 2, 5), (64, 14, 1, 3)],
)
def test_tensors(forced, config, channels, size, stride, kernel):
    """With and without residual, odd numbers of blocks, shares of columns: every tensor agrees, without a race."""
    program = check_network(block(channels, size, stride, kernel), config, trace=False)
    if config is CORE:
        assert "mb.depthwise" not in program.tensors
        assert Opcode.MAT_CONV in {i.opcode for i in fused(program)}


def test_traced_programs_store_the_tensor_between(forced):
    program = check_network(block(32, 28), CORE)
    assert fused(program) and "mb.depthwise" in program.tensors


def test_not_fused_when_told(forced):
    program = check_network(block(32, 28), CORE, trace=False, fuse=False)
    assert not fused(program) and "mb.depthwise" in program.tensors


def test_not_fused_when_somebody_else_reads(forced):
    b = NetworkBuilder("two-readers", (3, 28, 28), 1)
    b.conv("stem", 64)
    b.conv("depthwise", 64, 3, groups=64)
    b.conv("point", 64)
    b.conv("other", 64, source="depthwise", residual="point")
    assert not fused(check_network(b.build(), CORE, trace=False))


@pytest.mark.parametrize("dim", [8, 16, 32])
def test_grouped(dim):
    """The 5 x 5 branch of attention: its group convolution runs on the MAT engine alone."""
    b = NetworkBuilder("branch", (3, 14, 14), dim)
    b.conv("stem", 128)
    b.attention("att", dim)
    network = b.build()
    program = check_network(network, CORE, trace=False)
    layers = {program.layers[i.tag] for i in fused(program)}
    assert "att.aggregate" not in program.tensors and "att.group" in layers
    assert {i.opcode for i in fused(program)} == {Opcode.MAT_CONV}
    assert estimate(program).cycles < estimate(compile_network(network, CORE, fuse=False)).cycles


def test_gain():
    """A block with stride 2, whose large input keeps the memory busy while both layers compute."""
    network = block(32, 56, stride=2)
    program = check_network(network, CORE, trace=False)
    assert fused(program)
    assert estimate(program).cycles < 0.97 * estimate(compile_network(network, CORE, fuse=False)).cycles


def test_never_worse_on_b0():
    network = efficientvit_like("b0", 96, seed=3, classes=10)
    program = check_network(network, CORE, trace=False)
    assert estimate(program).cycles < estimate(compile_network(network, CORE, fuse=False)).cycles
