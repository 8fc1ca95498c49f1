"""Compiled networks compute what the integer model computes; what does not fit a configuration is refused."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest

from tests.execution import check_network, differences, run_program
from tests.networks import NetworkBuilder, efficientvit_like, random_image, small_network, unusual_network
from triovit.compiler import CompileError, compile_network
from triovit.compiler.estimate import estimate
from triovit.golden.assets import INTEGER_NETWORK
from triovit.golden.integer.execute import execute
from triovit.golden.integer.nodes import Convolution
from triovit.golden.integer.serialize import load_network
from triovit.hdl.config.accelerator import PRESETS
from triovit.hdl.isa.names import Opcode

TINY, CORE = PRESETS["trio-tiny"], PRESETS["trio-core"]
CONFIGS = {
    "tiny": TINY,
    "tiny, two cores": dataclasses.replace(TINY, cores=2),
    "core": CORE,
    "core, narrow memory": dataclasses.replace(CORE, data_bytes=8),
    "core, wide memory, three cores": dataclasses.replace(CORE, data_bytes=64, cores=3),
    "core, two ports of two cores each": dataclasses.replace(CORE, cores=4, ports=2),
    "core, four ports of a word": dataclasses.replace(CORE, cores=4, ports=4, data_bytes=8),
    "block 16": dataclasses.replace(CORE, block=16, data_bytes=128, burst_beats=32, attention_bytes=8192),
    "small buffers": dataclasses.replace(
        TINY, feature_bytes=4096, output_bytes=2048, weight_bytes=2048, parameter_bytes=4096, attention_bytes=512
    ),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("size, width, dim, kernel", [(28, 8, 16, 3), (18, 12, 16, 5)])
def test_every_kind_of_layer(config, size, width, dim, kernel):
    check_network(small_network(size + width, size=size, width=width, dim=dim, kernel=kernel), config)


@pytest.mark.parametrize("size, width, dim, kernel", [(14, 20, 8, 5), (36, 8, 32, 3), (37, 12, 8, 3)])
def test_odd_sizes(size, width, dim, kernel):
    check_network(small_network(size, size=size, width=width, dim=dim, kernel=kernel), CORE)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_unusual_layers(config):
    check_network(unusual_network(3), config)


def test_b0_without_trace():
    """A whole B0 at 32 x 32: one pixel and one token in the last stage. Only the tensors between layers are kept."""
    network = efficientvit_like("b0", 32, seed=2, classes=10)
    program = check_network(network, CORE, trace=False)
    assert not any(name.endswith((".kv0", ".sum0", ".code0")) for name in program.tensors)
    used = Counter(i.opcode for i in program.instructions)
    assert set(used) == set(Opcode) and used[Opcode.MAT_JOIN] < used[Opcode.RMAC_CONV]


def test_activations_of_the_test_networks_are_not_degenerate():
    """Otherwise equal tensors would prove little."""
    network = small_network(1)
    for name, tensor in execute(network, random_image(network, 1), keep=True).items():
        values = tensor.astype(np.int64)
        if not name.startswith("att.attention.code"):
            assert (np.abs(values) >= 127).mean() < 0.5 or tensor.dtype == np.int16, name
            assert len(np.unique(values)) > min(8, values.size // 4), name


def test_a_changed_constant_shows():
    """The comparison has teeth: one changed weight byte makes tensors differ."""
    network = small_network(4)
    program = compile_network(network, TINY)
    constants = program.constants.copy()
    constants[0] ^= 0x40
    program = dataclasses.replace(program, constants=constants)
    images = [random_image(network, 1)]
    memory, _ = run_program(program, images)
    assert "stem (core 0)" in differences(program, network, memory, images)


def test_multiply_accumulates_are_those_of_the_network():
    """One count: a program tells what `compare` and the layer table tell."""
    network = small_network(4)
    assert compile_network(network, TINY).metadata["macs"] == network.macs()


def shrunk(**sizes):
    return dataclasses.replace(TINY, **sizes)


@pytest.mark.parametrize(
    "config, message",
    [
        (shrunk(divisors=16), r"att\.attention: needs 121 words of the divisor buffer, which has 16; .* divisors 121"),
        (shrunk(feature_bytes=256), r"needs \d+ words of buffer A"),
        (shrunk(output_bytes=256), r"words of buffer O"),
        (shrunk(attention_bytes=256), r"att\.attention: a head needs 80 words of buffer K, which has 64; .*_bytes 320"),
        (shrunk(weight_bytes=256), r"words of buffer B \(limit 64\); a configuration with weight_bytes 512 has room"),
        (shrunk(parameter_bytes=256), r"words of buffer P"),
    ],
)
def test_what_does_not_fit_is_refused(config, message):
    network = small_network(6, size=41, width=16, dim=16)
    with pytest.raises(CompileError, match=message):
        compile_network(network, config)


def test_layer_norm_too_wide_for_the_records_is_refused():
    b = NetworkBuilder("wide", (3, 8, 8), 1)
    b.head((16, 2200), 4)
    with pytest.raises(CompileError, match=r"head\.norm: needs 8800 words of buffer P, which has 8192; .*_bytes 35200"):
        compile_network(b.build(), TINY)


def test_heads_that_split_a_block_are_refused():
    with pytest.raises(CompileError, match=r"att\.attention: heads of 8 channels are not whole blocks of 16 channels"):
        compile_network(small_network(1, dim=8), CONFIGS["block 16"])


def test_paddings_that_disagree_are_refused():
    b = NetworkBuilder("disagree", (3, 8, 8), 1)
    b.conv("a", 8)
    b.conv("b", 8, 3, groups=8)
    b.conv("c", 8, 3, source="a", groups=8)
    network = b.build()
    last = network.nodes[-1]
    changed = dataclasses.replace(last, pad_value=last.pad_value + 1)
    network = dataclasses.replace(network, nodes=(*network.nodes[:-1], changed))
    with pytest.raises(CompileError, match="c: its padding values for a differ"):
        compile_network(network, TINY)


def test_wide_maps_are_refused():
    b = NetworkBuilder("wide-map", (3, 8, 8), 1)
    b.conv("logits", 8, activation="wide")
    with pytest.raises(CompileError, match=r"logits: 16-bit results need a 1 x 1 map, not 8 x 8"):
        compile_network(b.build(), TINY)


def test_kernels_beyond_the_field_are_refused():
    b = NetworkBuilder("large", (3, 20, 20), 1)
    b.conv("large", 8, 17, padding=0)
    assert isinstance(b.nodes[0], Convolution)
    with pytest.raises(CompileError, match="large: has 17 kernel rows, an instruction counts up to 15"):
        compile_network(b.build(), CORE)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_runs_the_bundled_network(name):
    assert compile_network(load_network(INTEGER_NETWORK), PRESETS[name]).config.name == name


def test_more_tokens_than_a_row_counts():
    """A map of 64 x 64 tokens, as EfficientViT has at 1024 x 1024: the tokens go row by row, their codes fill the
    largest divisor buffer."""
    b = NetworkBuilder("tokens", (3, 64, 64), 1)
    b.conv("stem", 8)
    b.attention("att", 8)
    config = dataclasses.replace(TINY, divisors=4096, feature_bytes=1 << 16, output_bytes=1 << 17)
    program = check_network(b.build(), config)
    assert {(i.rows, i.cols) for i in program.instructions if i.opcode == Opcode.RMAC_OUTER} == {(64, 64)}
    with pytest.raises(CompileError, match=r"needs 4160 words of the divisor buffer, .* no configuration has more"):
        b = NetworkBuilder("more-tokens", (3, 64, 65), 1)
        b.conv("stem", 8)
        b.attention("att", 8)
        compile_network(b.build(), dataclasses.replace(config, accumulator_bits=28))


def test_b0_at_1024():
    """What segmentation asks for. Twice the output buffer of the paper's core, all tokens a divisor buffer can have."""
    config = dataclasses.replace(CORE, divisors=4096, output_bytes=1 << 17)
    program = compile_network(efficientvit_like("b0", 1024, seed=1, classes=10), config)
    assert len(program.instructions) > 10_000


def test_b1_at_224():
    """The paper's main workload: every tensor, no race, and the cycles it takes at 16 bytes per cycle."""
    program = check_network(efficientvit_like("b1", 224, seed=1), CORE, trace=False)
    assert estimate(program).cycles == pytest.approx(4_665_661, rel=0.01)
