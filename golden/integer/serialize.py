"""Integer networks as files: safetensors with the structure as JSON metadata; never pickle.

Version 2 has everything that a network can hold. Version 1 is from before additive powers of two, 4-bit weights and
uniform divisors; its files are still read. What a file holds of a node is the node's own affair: `Node.store`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from triovit.golden.files import whole_file
from triovit.golden.integer.errors import NetworkError
from triovit.golden.integer.network import IntegerNetwork
from triovit.golden.integer.nodes import NODES, Node
from triovit.golden.integer.nodes.stored import StoredNode, printable, whole

FORMAT = "triovit-integer-network"
VERSION = "2"
READABLE = ("1", "2")


def check_texts(name: str, classes: Iterable[str]) -> None:
    """Raise NetworkError for names of a network and its classes that no file can hold."""
    printable(name, "name of the network")
    for text in classes:
        printable(text, "class name")


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
        file = StoredNode({"type": type(node).__name__, "name": node.name}, tensors)
        node.store(file)
        nodes.append(file.values)
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


def _node(values: dict, tensors: dict[str, np.ndarray], version: str) -> Node:
    file = StoredNode(values, tensors)
    kind = next((kind for name, kind in NODES.items() if name == values["type"]), None)
    if kind is None:
        raise NetworkError(f"unknown node type {values['type']!r}")
    if version == "1":
        file.put(**kind.FIRST_VERSION)
    return kind.load(file)


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
            input_shape=tuple(whole(n, "input_shape") for n in structure["input_shape"]),
            classes=tuple(structure["classes"]),
            metadata=structure["metadata"],
            nodes=tuple(_node(entry, tensors, version) for entry in structure["nodes"]),
        ).validate()
    except NetworkError:
        raise
    except FileNotFoundError:
        raise NetworkError(f"no such file: {path}") from None
    except SafetensorError as error:
        reason = f"{error}; copy it again, or make it with 'triovit quantize'"
        raise NetworkError(f"{path}: not a whole safetensors file ({reason})") from None
    except OSError as error:
        raise NetworkError(f"cannot read {path}: {error.strerror or error}") from None
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        raise NetworkError(f"{path} is damaged: {type(error).__name__}: {error}") from None
