"""Files: what is written is read back, and every damaged file is one NetworkError."""

import json
from dataclasses import fields

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from golden.integer.execute import execute
from golden.integer.network import NetworkError
from golden.integer.serialize import load_network, save_network
from tests.networks import random_image, small_network, unusual_network


def equal(a, b):
    """Deep equality of networks, arrays included."""
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and np.array_equal(a, b)
    if isinstance(a, tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    if hasattr(a, "__dataclass_fields__"):
        return type(a) is type(b) and all(equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    return a == b


@pytest.fixture
def saved(tmp_path):
    network = small_network(3).with_metadata(method="none", accuracy=12.5, nested={"a": [1, 2]})
    path = tmp_path / "net.safetensors"
    save_network(network, path)
    return network, path


def parts(path):
    with safe_open(str(path), framework="numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata())  # noqa: SIM118


def rewrite(path, change):
    """Apply `change(tensors, structure, header)` to a file."""
    tensors, header = parts(path)
    structure = json.loads(header["network"])
    change(tensors, structure, header)
    if "network" in header:
        header["network"] = json.dumps(structure)
    save_file(tensors, path, metadata=header)


@pytest.mark.parametrize("make", [small_network, unusual_network])
def test_round_trip(make, tmp_path):
    network = make(4).with_metadata(text="ä", number=1)
    save_network(network, tmp_path / "a")
    back = load_network(tmp_path / "a")
    assert equal(network, back)
    image = random_image(network, 1)
    assert np.array_equal(execute(network, image)[network.output], execute(back, image)[network.output])


def test_the_same_network_is_the_same_file(saved, tmp_path):
    network, path = saved
    save_network(load_network(path), tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()
    save_network(network, path)  # overwrites
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again", "net.safetensors"]


def test_a_failed_write_leaves_the_old_file(saved, tmp_path):
    network, path = saved
    before = path.read_bytes()
    (tmp_path / "net.safetensors.partial").mkdir()  # in the way of the temporary file
    with pytest.raises(OSError, match="partial"):
        save_network(network, path)
    assert path.read_bytes() == before


def test_weights_take_one_byte(saved):
    tensors, header = parts(saved[1])
    assert {t.dtype for name, t in tensors.items() if name.endswith((".weight", ".pad_value"))} == {np.dtype(np.int8)}
    assert header["format"] == "triovit-integer-network"


def test_missing_file(tmp_path):
    with pytest.raises(NetworkError, match="no such file"):
        load_network(tmp_path / "nothing")


def test_folder(tmp_path):
    with pytest.raises(NetworkError, match="cannot read"):
        load_network(tmp_path)


@pytest.mark.parametrize("content", [b"", b"x", b"not a network at all, only text", bytes(64)])
def test_other_files(content, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(content)
    with pytest.raises(NetworkError, match="cannot read"):
        load_network(path)


def test_truncated_anywhere(saved):
    _, path = saved
    data = path.read_bytes()
    for length in np.linspace(0, len(data) - 1, 60).astype(int):
        path.write_bytes(data[:length])
        with pytest.raises(NetworkError) as caught:
            load_network(path)
        assert "\n" not in str(caught.value)


def test_a_checkpoint_is_not_a_network(tmp_path):
    save_file({"w": np.zeros(3, dtype=np.float32)}, tmp_path / "a")
    with pytest.raises(NetworkError, match=r"is not a quantized network \(format None\)"):
        load_network(tmp_path / "a")


def change_version(tensors, structure, header):
    header["version"] = "99"


def drop_structure(tensors, structure, header):
    del header["network"]


def drop_weight(tensors, structure, header):
    del tensors["stem.weight"]


def drop_record(tensors, structure, header):
    del tensors["stem.post.m1"]


def float_weight(tensors, structure, header):
    tensors["stem.weight"] = tensors["stem.weight"].astype(np.float32)


def float_record(tensors, structure, header):
    tensors["stem.post.bias"] = tensors["stem.post.bias"] + 0.25


def large_multiplier(tensors, structure, header):
    tensors["stem.post.m1"] = tensors["stem.post.m1"] + 65536


def unknown_node(tensors, structure, header):
    structure["nodes"][0]["type"] = "Softmax"


def unknown_input(tensors, structure, header):
    structure["nodes"][1]["input"] = "elsewhere"


def no_type(tensors, structure, header):
    del structure["nodes"][0]["type"]


def text_stride(tensors, structure, header):
    structure["nodes"][0]["stride"] = "two"


def list_structure(tensors, structure, header):
    structure["nodes"] = [3]


def null_classes(tensors, structure, header):
    structure["classes"] = None


def null_shape(tensors, structure, header):
    structure["input_shape"] = [3, None, 4]


def number_name(tensors, structure, header):
    structure["nodes"][0]["residual"] = 5


def overflow(tensors, structure, header):
    tensors["stem.post.bias"] = np.full_like(tensors["stem.post.bias"], 2**31 - 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_version, "has version '99', this program reads 1"),
        (drop_structure, "damaged: KeyError: 'network'"),
        (drop_weight, "damaged: KeyError: 'stem.weight'"),
        (drop_record, "damaged: KeyError: 'stem.post.m1'"),
        (float_weight, "weight must be int8"),
        (float_record, "bias must be int32"),
        (large_multiplier, r"m1 must lie in \[0, 65535\]"),
        (unknown_node, "unknown node type 'Softmax'"),
        (unknown_input, "input elsewhere is not computed before it"),
        (no_type, "damaged: KeyError: 'type'"),
        (text_stride, "damaged: ValueError"),
        (list_structure, "damaged: TypeError"),
        (null_classes, "damaged: TypeError"),
        (null_shape, "damaged: TypeError"),
        (number_name, "input 5 is not computed"),
        (overflow, r"stem \(convolution\): the accumulator can reach"),
    ],
)
def test_damaged_structure(saved, change, message):
    _, path = saved
    rewrite(path, change)
    with pytest.raises(NetworkError, match=message) as caught:
        load_network(path)
    assert "\n" not in str(caught.value)


def test_flipped_bytes_never_raise_anything_else(saved):
    _, path = saved
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        broken = bytearray(data)
        for position in rng.integers(0, int.from_bytes(data[:8], "little"), 3):  # in the header and the structure
            broken[position] ^= int(rng.integers(1, 256))
        path.write_bytes(broken)
        try:
            load_network(path)
        except NetworkError:
            refused += 1
    assert refused > 100
