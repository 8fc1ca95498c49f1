"""Integer networks as files: safetensors with the structure as JSON metadata; never pickle."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from golden.integer.network import (
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
VERSION = "1"


def _stored(tensors: dict, name: str, dtype: type) -> np.ndarray:
    """A tensor of the file, which must have the type that `save_network` writes."""
    if tensors[name].dtype != dtype:
        raise NetworkError(f"{name} must be {np.dtype(dtype)}, not {tensors[name].dtype}")
    return tensors[name]


def _post_to_json(post: PostParameters, prefix: str, tensors: dict) -> dict:
    for name, value in record_arrays(post).items():
        tensors[f"{prefix}.{name}"] = value.astype(np.int32)
    return {"activation": post.activation, "fraction_bits": post.fraction_bits}


def _post_from_json(value: dict, prefix: str, tensors: dict) -> PostParameters:
    arrays = {name: _stored(tensors, f"{prefix}.{name}", np.int32).astype(np.int64) for name in PostParameters.ARRAYS}
    return PostParameters(**arrays, activation=value["activation"], fraction_bits=int(value["fraction_bits"]))


def _ordered(data: bytes) -> bytes:
    """The same file with sorted metadata, whose order the library leaves to chance: equal networks, equal files."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors stay aligned
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def save_network(network: IntegerNetwork, path: str | Path) -> None:
    """Write a network; the file appears whole or not at all."""
    tensors: dict[str, np.ndarray] = {}
    nodes = []
    for node in network.nodes:
        entry: dict = {"type": type(node).__name__, "name": node.name}
        match node:
            case Convolution():
                tensors[f"{node.name}.weight"] = node.weight.astype(np.int8)
                tensors[f"{node.name}.pad_value"] = node.pad_value.astype(np.int8)
                entry |= {"input": node.input, "stride": node.stride, "padding": node.padding, "groups": node.groups,
                          "residual": node.residual, "post": _post_to_json(node.post, f"{node.name}.post", tensors)}
            case Attention():
                entry |= {"inputs": list(node.inputs), "heads": node.heads, "dim": node.dim,
                          "log2_offset": list(node.log2_offset)}
                for kind in ("product", "key_sum", "divide"):
                    entry[kind] = [_post_to_json(post, f"{node.name}.{kind}{i}", tensors)
                                   for i, post in enumerate(getattr(node, kind))]
            case Pool():
                entry |= {"input": node.input, "post": _post_to_json(node.post, f"{node.name}.post", tensors)}
            case LayerNorm():
                tensors[f"{node.name}.weight"] = node.weight.astype(np.int8)
                entry |= {"input": node.input, "epsilon": node.epsilon,
                          "post": _post_to_json(node.post, f"{node.name}.post", tensors)}
        nodes.append(entry)
    structure = {"name": network.name, "input_shape": list(network.input_shape), "classes": list(network.classes),
                 "metadata": network.metadata, "nodes": nodes}
    data = save({k: np.ascontiguousarray(v) for k, v in tensors.items()},
                metadata={"format": FORMAT, "version": VERSION, "network": json.dumps(structure)})
    data = _ordered(data)
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    partial.replace(path)


def _node_from_json(entry: dict, tensors: dict) -> Node:
    name = entry["name"]
    match entry["type"]:
        case "Convolution":
            return Convolution(
                name=name, input=entry["input"], weight=_stored(tensors, f"{name}.weight", np.int8),
                stride=int(entry["stride"]), padding=int(entry["padding"]),
                pad_value=_stored(tensors, f"{name}.pad_value", np.int8).astype(np.int64),
                groups=int(entry["groups"]), residual=entry["residual"],
                post=_post_from_json(entry["post"], f"{name}.post", tensors))
        case "Attention":
            records = {
                kind: tuple(_post_from_json(p, f"{name}.{kind}{i}", tensors) for i, p in enumerate(entry[kind]))
                for kind in ("product", "key_sum", "divide")
            }
            return Attention(name=name, inputs=tuple(entry["inputs"]), heads=int(entry["heads"]), dim=int(entry["dim"]),
                             log2_offset=tuple(int(o) for o in entry["log2_offset"]), **records)
        case "Pool":
            return Pool(name=name, input=entry["input"], post=_post_from_json(entry["post"], f"{name}.post", tensors))
        case "LayerNorm":
            return LayerNorm(name=name, input=entry["input"], weight=_stored(tensors, f"{name}.weight", np.int8),
                             epsilon=int(entry["epsilon"]),
                             post=_post_from_json(entry["post"], f"{name}.post", tensors))
        case other:
            raise NetworkError(f"unknown node type {other!r}")


def load_network(path: str | Path) -> IntegerNetwork:
    """Read and validate a network; raises NetworkError naming the file and what is wrong with it."""
    try:
        with safe_open(str(path), framework="numpy") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise NetworkError(f"{path} is not a quantized network (format {header.get('format')!r}); "
                                   "make one with 'triovit quantize'")
            if header.get("version") != VERSION:
                raise NetworkError(f"{path} has version {header.get('version')!r}, this program reads {VERSION}")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        structure = json.loads(header["network"])
        return IntegerNetwork(
            name=structure["name"], input_shape=tuple(structure["input_shape"]), classes=tuple(structure["classes"]),
            metadata=structure["metadata"],
            nodes=tuple(_node_from_json(entry, tensors) for entry in structure["nodes"]),
        ).validate()
    except NetworkError:
        raise
    except FileNotFoundError:
        raise NetworkError(f"no such file: {path}") from None
    except (SafetensorError, OSError) as error:
        raise NetworkError(f"cannot read {path}: {error}") from None
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise NetworkError(f"{path} is damaged: {type(error).__name__}: {error}") from None
