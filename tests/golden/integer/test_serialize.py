"""Files: what is written is read back, and every damaged file is one NetworkError."""

import dataclasses
import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import triovit.golden
from tests.golden.integer.variants import mixed, shifting, uniform_divisors
from tests.networks import random_image, small_network, unusual_network
from triovit.golden.integer.apot import ApotFormat
from triovit.golden.integer.errors import NetworkError
from triovit.golden.integer.execute import execute
from triovit.golden.integer.nodes import Attention, Convolution
from triovit.golden.integer.serialize import load_network, save_network


def equal(a, b):
    """Deep equality of networks, arrays included."""
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and np.array_equal(a, b) and a.dtype == b.dtype
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


def mixed_network(seed):
    return mixed(small_network(seed), seed)


def coarse_network(seed):
    return uniform_divisors(mixed(small_network(seed), seed, ApotFormat(2, 5)))


def shifting_network(seed):
    return shifting(small_network(seed))


@pytest.mark.parametrize("make", [small_network, unusual_network, mixed_network, coarse_network, shifting_network])
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
    assert int.from_bytes(path.read_bytes()[:8], "little") % 8 == 0  # tensors are aligned
    save_network(network, path)  # overwrites
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again", "net.safetensors"]


def test_a_failed_write_leaves_the_old_file(saved, tmp_path):
    network, path = saved
    before = path.read_bytes()
    (tmp_path / "net.safetensors.partial").mkdir()  # in the way of the temporary file
    with pytest.raises(OSError, match=r"net\.safetensors"):
        save_network(network, path)
    assert path.read_bytes() == before


def test_names_that_a_reader_would_refuse_are_not_written(tmp_path):
    network, path = small_network(2), tmp_path / "q.safetensors"
    outputs = network.shapes()[network.output][0]
    first = dataclasses.replace(network.nodes[-1], name="two\nlines")
    for wrong, message in (
        (dataclasses.replace(network, name="no\u00a0break"), "name of the network must be printable text"),
        (dataclasses.replace(network, classes=("a\nb", *"c" * (outputs - 1))), "class name must be printable text"),
        (dataclasses.replace(network, nodes=(*network.nodes[:-1], first)), "name of a node must be printable text"),
    ):
        with pytest.raises(NetworkError, match=message):
            save_network(wrong, path)
    assert not list(tmp_path.iterdir())


def test_weights_take_one_byte(saved):
    tensors, header = parts(saved[1])
    assert {t.dtype for name, t in tensors.items() if name.endswith((".weight", ".pad_value"))} == {np.dtype(np.int8)}
    assert header["format"] == "triovit-integer-network"
    assert header["version"] == "2"


def first_version(tensors, structure, header):
    """What the program wrote before version 2."""
    header["version"] = "1"
    for node in structure["nodes"]:
        for field in ("weight_bits", "apot", "key_apot", "divisor", "divisor_scale"):
            node.pop(field, None)


def test_first_version_is_read(saved, tmp_path):
    network, path = saved
    rewrite(path, first_version)
    back = load_network(path)
    assert equal(network, back)
    save_network(back, tmp_path / "new")
    assert parts(tmp_path / "new")[1]["version"] == "2"


def test_the_shipped_network_is_read():
    path = Path(triovit.golden.__file__).parent / "assets" / "efficientvit_b0_cifar10_r64.int8.safetensors"
    network = load_network(path)
    assert all(n.apot is None and n.weight_bits == 8 for n in network.nodes if isinstance(n, Convolution))
    assert all(n.key_apot is None and n.divisor == "log2" for n in network.nodes if isinstance(n, Attention))


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
    with pytest.raises(NetworkError, match="not a whole safetensors file"):
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


def half_padding(tensors, structure, header):
    structure["nodes"][0]["padding"] = 0.5


def huge_shape(tensors, structure, header):
    structure["input_shape"] = [3, 10**30, 10**30]


def two_line_input(tensors, structure, header):
    structure["nodes"][0]["input"] = "in\nput"


def two_line_branch(tensors, structure, header):
    attention(structure)["inputs"][1] = "a\nb"


def true_offset(tensors, structure, header):
    attention(structure)["log2_offset"] = [-7, True]


def infinite_fraction(tensors, structure, header):
    structure["nodes"][0]["post"]["fraction_bits"] = float("inf")


def two_line_name(tensors, structure, header):
    structure["nodes"][0]["name"] = "stem\nstem"


def two_line_network(tensors, structure, header):
    structure["name"] = "a\nb"


def number_class(tensors, structure, header):
    structure["classes"] = ["cat", 3]


def text_metadata(tensors, structure, header):
    structure["metadata"] = "none"


def list_metadata(tensors, structure, header):
    structure["metadata"] = []


def no_weight_bits(tensors, structure, header):
    del structure["nodes"][0]["weight_bits"]


def three_weight_bits(tensors, structure, header):
    structure["nodes"][0]["weight_bits"] = 3


def apot_number(tensors, structure, header):
    structure["nodes"][0]["apot"] = 3


def apot_range(tensors, structure, header):
    structure["nodes"][0]["apot"] = {"exponent_bits": 60, "low": 0}


def apot_empty(tensors, structure, header):
    structure["nodes"][0]["apot"] = {}


def key_apot_type(tensors, structure, header):
    attention(structure)["key_apot"] = {"exponent_bits": "3", "low": 0}


def filters_without_format(tensors, structure, header):
    tensors["stem.apot_filters"] = np.zeros(8, dtype=np.uint8)


def filter_twos(tensors, structure, header):
    structure["nodes"][0]["apot"] = {"exponent_bits": 3, "low": 0}
    tensors["stem.apot_filters"] = np.full(8, 2, dtype=np.uint8)


def filter_shape(tensors, structure, header):
    structure["nodes"][0]["apot"] = {"exponent_bits": 3, "low": 0}
    tensors["stem.apot_filters"] = np.zeros((8, 1), dtype=np.uint8)


def filter_type(tensors, structure, header):
    structure["nodes"][0]["apot"] = {"exponent_bits": 3, "low": 0}
    tensors["stem.apot_filters"] = np.zeros(8, dtype=bool)


def weights_between_levels(tensors, structure, header):
    structure["nodes"][0]["apot"] = {"exponent_bits": 2, "low": 5}
    tensors["stem.apot_filters"] = np.ones(8, dtype=np.uint8)


def wide_weights(tensors, structure, header):
    tensors["stem.weight"] = tensors["stem.weight"].astype(np.int16)


def divisor_list(tensors, structure, header):
    attention(structure)["divisor"] = ["log2"]


def divisor_without_scale(tensors, structure, header):
    attention(structure)["divisor"] = "uniform"


def divisor_scale_without_tensors(tensors, structure, header):
    attention(structure)["divisor_scale"] = [{"activation": "linear", "fraction_bits": 0}]


def attention(structure):
    return next(node for node in structure["nodes"] if node["type"] == "Attention")


def overflow(tensors, structure, header):
    tensors["stem.post.bias"] = np.full_like(tensors["stem.post.bias"], 2**31 - 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_version, "has version '99', this program reads 1 and 2"),
        (drop_structure, "damaged: KeyError: 'network'"),
        (drop_weight, "damaged: KeyError: 'stem.weight'"),
        (drop_record, "damaged: KeyError: 'stem.post.m1'"),
        (float_weight, "weight must be int8"),
        (float_record, "bias must be int32"),
        (large_multiplier, r"m1 must lie in \[0, 65535\]"),
        (unknown_node, "unknown node type 'Softmax'"),
        (unknown_input, "input elsewhere is not computed before it"),
        (no_type, "damaged: KeyError: 'type'"),
        (text_stride, "stem: stride must be an integer, not 'two'"),
        (list_structure, "damaged: TypeError"),
        (null_classes, "damaged: TypeError"),
        (null_shape, "input_shape must be an integer, not None"),
        (number_name, "stem: residual must be printable text, not 5"),
        (half_padding, "stem: padding must be an integer, not 0.5"),
        (huge_shape, "damaged: OverflowError"),
        (two_line_input, r"stem: input must be printable text, not 'in\\nput'"),
        (two_line_branch, r"att.attention: input must be printable text, not 'a\\nb'"),
        (true_offset, "att.attention: log2_offset must be an integer, not True"),
        (infinite_fraction, "stem.post: fraction_bits must be an integer, not inf"),
        (apot_empty, "damaged: KeyError: 'exponent_bits'"),
        (two_line_name, r"name of a node must be printable text, not 'stem\\nstem'"),
        (two_line_network, "name of the network must be printable text"),
        (number_class, "class name must be printable text, not 3"),
        (text_metadata, "metadata must be an object, not str"),
        (list_metadata, "metadata must be an object, not list"),
        (no_weight_bits, "damaged: KeyError: 'weight_bits'"),
        (three_weight_bits, "stem: weight_bits must be 4 or 8, not 3"),
        (apot_number, "stem: not a format of additive powers of two: "),
        (apot_range, "stem: not a format of additive powers of two: exponent_bits must be 1..4, not 60"),
        (key_apot_type, "att.attention: not a format .*: exponent_bits must be an integer, not '3'"),
        (filters_without_format, "stem: apot_filters need the format apot"),
        (filter_twos, "stem.apot_filters must hold 0 and 1, not 2"),
        (filter_shape, r"stem: apot_filters must be \(8,\) bool or empty, not \(8, 1\)"),
        (filter_type, "stem.apot_filters must be uint8, not bool"),
        (weights_between_levels, "stem: weights of APoT filters must be levels of"),
        (wide_weights, "stem: weight must be int8, or int16 with APoT filters, not int16"),
        (divisor_list, r"divisor must be one of log2, uniform, not \['log2'\]"),
        (divisor_without_scale, "att.attention: 2 branches need as many records, not 0"),
        (divisor_scale_without_tensors, "damaged: KeyError: 'att.attention.divisor_scale0.bias'"),
        (overflow, r"stem \(convolution\): the accumulator can reach"),
    ],
)
def test_damaged_structure(saved, change, message):
    _, path = saved
    rewrite(path, change)
    with pytest.raises(NetworkError, match=message) as caught:
        load_network(path)
    assert "\n" not in str(caught.value)


def test_the_first_version_has_nothing_of_the_second(saved):
    """Fields that a version 1 file cannot have are not read from one."""
    network, path = saved

    def change(tensors, structure, header):
        header["version"] = "1"
        structure["nodes"][0] |= {"weight_bits": 3, "apot": {"exponent_bits": 60}}
        attention(structure).update(divisor="uniform", key_apot={"low": 1})

    rewrite(path, change)
    assert equal(load_network(path), network)


def test_deep_structure(saved):
    _, path = saved
    tensors, header = parts(path)
    header["network"] = "[" * 100_000
    save_file(tensors, path, metadata=header)
    with pytest.raises(NetworkError, match="damaged: RecursionError"):
        load_network(path)


@pytest.mark.parametrize("make", [small_network, coarse_network])
def test_flipped_bytes_never_raise_anything_else(make, tmp_path):
    path = tmp_path / "net"
    save_network(make(3), path)
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
