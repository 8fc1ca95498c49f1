"""Integer networks as files: safetensors with the structure as JSON metadata; never pickle.

Version 2 has everything that a network can hold. Version 1 is from before additive powers of two, 4-bit weights and
uniform divisors; its files are still read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from triovit.golden.files import whole_file
from triovit.golden.integer.apot import ApotFormat
from triovit.golden.integer.network import (
    Attention,
    Convolution,
    IntegerNetwork,
    LayerNorm,
    NetworkError,
    Node,
    Pool,
    PostParameters,
    record_arrays,
)

FORMAT = "triovit-integer-network"
VERSION = "2"
READABLE = ("1", "2")
FIRST_VERSION = {  # what the nodes of a version 1 file are in terms of version 2
    "Convolution": {"weight_bits": 8, "apot": None},
    "Attention": {"key_apot": None, "divisor": "log2", "divisor_scale": []},
}
RECORDS = ("product", "key_sum", "divide", "divisor_scale")  # of an attention, a tuple with one a branch


def _stored(tensors: dict, name: str, *dtypes: type) -> np.ndarray:
    """A tensor of the file, which must have one of the types that `save_network` writes."""
    if tensors[name].dtype not in dtypes:
        raise NetworkError(f"{name} must be {' or '.join(str(np.dtype(d)) for d in dtypes)}, not {tensors[name].dtype}")
    return tensors[name]


def _post_to_json(post: PostParameters, prefix: str, tensors: dict) -> dict:
    for name, value in record_arrays(post).items():
        tensors[f"{prefix}.{name}"] = value.astype(np.int32)
    return {"activation": post.activation, "fraction_bits": post.fraction_bits}


def _post_from_json(value: dict, prefix: str, tensors: dict) -> PostParameters:
    arrays = {name: _stored(tensors, f"{prefix}.{name}", np.int32).astype(np.int64) for name in PostParameters.ARRAYS}
    return PostParameters(
        **arrays,
        activation=value["activation"],
        fraction_bits=_integer(value["fraction_bits"], f"{prefix}: fraction_bits"),
    )


def _apot_to_json(apot: ApotFormat | None) -> dict | None:
    return None if apot is None else asdict(apot)


def _apot_from_json(value: dict | None, name: str) -> ApotFormat | None:
    try:
        return None if value is None else ApotFormat(value["exponent_bits"], value["low"])
    except (TypeError, ValueError) as error:
        raise NetworkError(f"{name}: not a format of additive powers of two: {error}") from None


def _filters_from_file(tensors: dict, name: str) -> np.ndarray:
    """apot_filters, stored as bytes 0 and 1, since a file's booleans need not be; absent when there are none."""
    if name not in tensors:
        return np.zeros(0, dtype=bool)
    flags = _stored(tensors, name, np.uint8)
    if np.any(flags > 1):
        raise NetworkError(f"{name} must hold 0 and 1, not {flags.max()}")
    return flags.astype(bool)


def _text(value, what: str) -> str:
    """A name, which ends up in one-line messages and tables."""
    if not isinstance(value, str) or not value.isprintable():
        raise NetworkError(f"{what} must be printable text, not {value!r}")
    return value


def check_texts(name: str, classes: Iterable[str]) -> None:
    """Raise NetworkError for names of a network and its classes that no file can hold."""
    _text(name, "name of the network")
    for text in classes:
        _text(text, "class name")


def _integer(value, what: str) -> int:
    """A size or count; JSON's 2.5, "2" and true are none."""
    if type(value) is not int:
        raise NetworkError(f"{what} must be an integer, not {value!r}")
    return value


def _ordered(data: bytes) -> bytes:
    """The same file with sorted metadata, whose order the library leaves to chance: equal networks, equal files."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors stay aligned
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def save_network(network: IntegerNetwork, path: str | Path) -> None:
    """Write a valid network; the file appears whole or not at all. Raises NetworkError for names that are no printable
    text."""
    check_texts(network.name, network.classes)
    tensors: dict[str, np.ndarray] = {}
    nodes = []
    for node in network.nodes:
        entry: dict = {"type": type(node).__name__, "name": _text(node.name, "name of a node")}
        match node:
            case Convolution():
                tensors[f"{node.name}.weight"] = node.weight
                tensors[f"{node.name}.pad_value"] = node.pad_value.astype(np.int8)
                if node.apot_filters.size:
                    tensors[f"{node.name}.apot_filters"] = node.apot_filters.astype(np.uint8)
                entry |= {
                    "input": node.input,
                    "stride": node.stride,
                    "padding": node.padding,
                    "groups": node.groups,
                    "residual": node.residual,
                    "weight_bits": node.weight_bits,
                    "apot": _apot_to_json(node.apot),
                    "post": _post_to_json(node.post, f"{node.name}.post", tensors),
                }
            case Attention():
                entry |= {
                    "inputs": list(node.inputs),
                    "heads": node.heads,
                    "dim": node.dim,
                    "log2_offset": list(node.log2_offset),
                    "divisor": node.divisor,
                    "key_apot": _apot_to_json(node.key_apot),
                }
                for kind in RECORDS:
                    entry[kind] = [
                        _post_to_json(post, f"{node.name}.{kind}{i}", tensors)
                        for i, post in enumerate(getattr(node, kind))
                    ]
            case Pool():
                entry |= {"input": node.input, "post": _post_to_json(node.post, f"{node.name}.post", tensors)}
            case LayerNorm():
                tensors[f"{node.name}.weight"] = node.weight.astype(np.int8)
                entry |= {
                    "input": node.input,
                    "epsilon": node.epsilon,
                    "post": _post_to_json(node.post, f"{node.name}.post", tensors),
                }
        nodes.append(entry)
    structure = {
        "name": network.name,
        "input_shape": list(network.input_shape),
        "classes": list(network.classes),
        "metadata": network.metadata,
        "nodes": nodes,
    }
    data = save(
        {k: np.ascontiguousarray(v) for k, v in tensors.items()},
        metadata={"format": FORMAT, "version": VERSION, "network": json.dumps(structure)},
    )
    with whole_file(path) as partial:
        partial.write_bytes(_ordered(data))


def _node_from_json(entry: dict, tensors: dict, version: str) -> Node:
    name = _text(entry["name"], "name of a node")
    if version == "1":
        entry = {**entry, **FIRST_VERSION.get(entry["type"], {})}

    def integer(key: str) -> int:
        return _integer(entry[key], f"{name}: {key}")

    def tensor_name(key: str) -> str:
        return _text(entry[key], f"{name}: {key}")

    match entry["type"]:
        case "Convolution":
            return Convolution(
                name=name,
                input=tensor_name("input"),
                weight=_stored(tensors, f"{name}.weight", np.int8, np.int16),
                stride=integer("stride"),
                padding=integer("padding"),
                pad_value=_stored(tensors, f"{name}.pad_value", np.int8).astype(np.int64),
                groups=integer("groups"),
                residual=None if entry["residual"] is None else tensor_name("residual"),
                weight_bits=integer("weight_bits"),
                apot=_apot_from_json(entry["apot"], name),
                apot_filters=_filters_from_file(tensors, f"{name}.apot_filters"),
                post=_post_from_json(entry["post"], f"{name}.post", tensors),
            )
        case "Attention":
            records = {
                kind: tuple(_post_from_json(p, f"{name}.{kind}{i}", tensors) for i, p in enumerate(entry[kind]))
                for kind in RECORDS
            }
            return Attention(
                name=name,
                inputs=tuple(_text(source, f"{name}: input") for source in entry["inputs"]),
                heads=integer("heads"),
                dim=integer("dim"),
                log2_offset=tuple(_integer(offset, f"{name}: log2_offset") for offset in entry["log2_offset"]),
                divisor=entry["divisor"],
                key_apot=_apot_from_json(entry["key_apot"], name),
                **records,
            )
        case "Pool":
            return Pool(
                name=name, input=tensor_name("input"), post=_post_from_json(entry["post"], f"{name}.post", tensors)
            )
        case "LayerNorm":
            return LayerNorm(
                name=name,
                input=tensor_name("input"),
                weight=_stored(tensors, f"{name}.weight", np.int8),
                epsilon=integer("epsilon"),
                post=_post_from_json(entry["post"], f"{name}.post", tensors),
            )
        case other:
            raise NetworkError(f"unknown node type {other!r}")


def load_network(path: str | Path) -> IntegerNetwork:
    """Read and validate a network; raises NetworkError naming the file and what is wrong with it."""
    try:
        with safe_open(str(path), framework="numpy") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise NetworkError(
                    f"{path} is not a quantized network (format {header.get('format')!r}); "
                    "make one with 'triovit quantize'"
                )
            version = header.get("version")
            if version not in READABLE:
                raise NetworkError(f"{path} has version {version!r}, this program reads {' and '.join(READABLE)}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        structure = json.loads(header["network"])
        if not isinstance(structure["metadata"], dict):
            raise NetworkError(f"metadata must be an object, not {type(structure['metadata']).__name__}")
        check_texts(structure["name"], structure["classes"])
        return IntegerNetwork(
            name=structure["name"],
            input_shape=tuple(_integer(n, "input_shape") for n in structure["input_shape"]),
            classes=tuple(structure["classes"]),
            metadata=structure["metadata"],
            nodes=tuple(_node_from_json(entry, tensors, version) for entry in structure["nodes"]),
        ).validate()
    except NetworkError:
        raise
    except FileNotFoundError:
        raise NetworkError(f"no such file: {path}") from None
    except (SafetensorError, OSError) as error:
        raise NetworkError(f"cannot read {path}: {error}") from None
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        raise NetworkError(f"{path} is damaged: {type(error).__name__}: {error}") from None
