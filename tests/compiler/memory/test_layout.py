"""Tensors in memory: addresses, borders, 16-bit logits and attention intermediates."""

from __future__ import annotations

import numpy as np
import pytest

from tests.networks import small_network, unusual_network
from triovit.compiler.memory.layout import TensorLayout, borders, plane_words, tensor_layouts
from triovit.hdl.config.accelerator import PRESETS

RNG = np.random.default_rng(11)


def layout_of(kind: str, shape: tuple[int, ...], border: int = 0, block: int = 4, offset: int = 64) -> TensorLayout:
    plane = -(-plane_words(kind, shape, border, block) * block // 16) * 16
    return TensorLayout("t", kind, shape, offset, border, block, plane)


@pytest.mark.parametrize("border", [0, 1, 2])
def test_map_words(border):
    """Byte m of the word of plane g at (row, column) is channel g * block + m; padded channels are 0; borders stay."""
    layout = layout_of("map", (6, 5, 7), border)
    value = RNG.integers(-128, 128, (6, 5, 7), dtype=np.int8)
    pads = RNG.integers(-128, 128, 6, dtype=np.int8)
    base = 128
    memory = np.full(base + layout.offset + layout.bytes, 0x5A, dtype=np.uint8)
    layout.write_border(memory, base, pads) if border else None
    layout.write(memory, base, value)
    assert np.array_equal(layout.read(memory, base), value)
    signed = memory.view(np.int8)
    for channel in range(8):
        for row in range(-border, 5 + border):
            for column in range(-border, 7 + border):
                actual = signed[base + layout.address(channel // 4, row, column) + channel % 4]
                inside = 0 <= row < 5 and 0 <= column < 7
                expected = 0 if channel >= 6 else value[channel, row, column] if inside else pads[channel]
                assert actual == expected
    assert np.all(memory[: base + layout.offset] == 0x5A)


def test_wide_logits():
    """Low bytes in the first plane, high bytes in the second."""
    layout = layout_of("wide", (6, 1, 1))
    memory = np.zeros(layout.offset + layout.bytes, dtype=np.uint8)
    values = np.array([0x0102, -1, -32768, 32767, 5, -300], dtype=np.int16)
    for i, value in enumerate(values):
        memory[layout.address(0) + i] = int(value) & 255
        memory[layout.address(1) + i] = int(value) >> 8 & 255
    assert np.array_equal(layout.read(memory, 0).reshape(-1), values)


def test_attention_intermediates():
    """Words as the architecture page gives them: kv row l of block (g, r), sums block by block, codes in byte 0."""
    kv, sums, codes = layout_of("kv", (2, 8, 8)), layout_of("sum", (2, 8)), layout_of("code", (2, 5))
    memory = RNG.integers(0, 256, 1 << 12).astype(np.uint8)
    signed = memory.view(np.int8)
    for head in range(2):
        for v in range(8):
            for k in range(8):
                word = (v // 4 * 2 + k // 4) * 4 + v % 4
                assert kv.read(memory, 0)[head, v, k] == signed[kv.address(head, 0, word) + k % 4]
            assert sums.read(memory, 0)[head, v] == signed[sums.address(head, 0, v // 4) + v % 4]
        for token in range(5):
            assert codes.read(memory, 0)[head, token] == signed[codes.address(head, 0, token)]


def test_places_do_not_overlap_and_are_aligned():
    network, config = small_network(3), PRESETS["trio-core"]
    end = 0
    for layout in tensor_layouts(network, config, True).values():
        assert layout.offset >= end and layout.offset % 64 == 0 and layout.plane_bytes % config.data_bytes == 0
        end = layout.offset + layout.bytes
    names = set(tensor_layouts(network, config, False))
    assert names == {
        n for n in network.shapes() if not any(n.endswith(k) for k in ("kv0", "kv1", "sum0", "sum1", "code0", "code1"))
    }


def test_larger_border_serves_both_readers():
    result = borders(unusual_network(1))
    assert result["dense5"][0] == 2 and result["dense5"][1].shape == (20,)
