"""One node as a file holds it: JSON values by key, and tensors whose names begin with the node's."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from triovit.golden.integer.apot import ApotFormat
from triovit.golden.integer.errors import NetworkError
from triovit.golden.integer.records import PostParameters


def printable(value, what: str) -> str:
    """A name, which ends up in one-line messages and tables; NetworkError for anything else."""
    if not isinstance(value, str) or not value.isprintable():
        raise NetworkError(f"{what} must be printable text, not {value!r}")
    return value


def whole(value, what: str) -> int:
    """A size or count; NetworkError for anything else: JSON's 2.5, "2" and true are none."""
    if type(value) is not int:
        raise NetworkError(f"{what} must be an integer, not {value!r}")
    return value


class StoredNode:
    """What a file holds of one node. The node writes it with `put` and the `put_` methods, and is made from it again.

    values: the JSON object, "type" and "name" first. tensors: of the whole file, by name; those of a node are called
    NAME.KEY. Everything that is read is checked, as a file may hold anything: NetworkError names the node and the key,
    KeyError the key or tensor that is missing.
    """

    def __init__(self, values: dict, tensors: dict[str, np.ndarray]):
        self.name = printable(values["name"], "name of a node")
        self.values = values
        self.tensors = tensors

    def put(self, **values) -> None:
        """JSON values by key."""
        self.values |= values

    def put_tensor(self, key: str, value: np.ndarray) -> None:
        self.tensors[f"{self.name}.{key}"] = value

    def put_apot(self, key: str, apot: ApotFormat | None) -> None:
        self.values[key] = None if apot is None else asdict(apot)

    def put_records(self, key: str, post: PostParameters) -> None:
        self.values[key] = self._records_to_json(key, post)

    def put_record_tuple(self, key: str, posts: tuple[PostParameters, ...]) -> None:
        """Several sets of records; their tensors are numbered."""
        self.values[key] = [self._records_to_json(f"{key}{i}", post) for i, post in enumerate(posts)]

    def integer(self, key: str) -> int:
        return whole(self.values[key], f"{self.name}: {key}")

    def integers(self, key: str) -> tuple[int, ...]:
        return tuple(whole(value, f"{self.name}: {key}") for value in self.values[key])

    def text(self, key: str) -> str:
        return printable(self.values[key], f"{self.name}: {key}")

    def texts(self, key: str, what: str) -> tuple[str, ...]:
        """what: one of them, for messages."""
        return tuple(printable(value, f"{self.name}: {what}") for value in self.values[key])

    def has_tensor(self, key: str) -> bool:
        return f"{self.name}.{key}" in self.tensors

    def tensor(self, key: str, *dtypes: type) -> np.ndarray:
        """A tensor, which must have one of the types that the node writes."""
        name = f"{self.name}.{key}"
        value = self.tensors[name]
        if value.dtype not in dtypes:
            raise NetworkError(f"{name} must be {' or '.join(str(np.dtype(d)) for d in dtypes)}, not {value.dtype}")
        return value

    def apot(self, key: str) -> ApotFormat | None:
        value = self.values[key]
        try:
            return None if value is None else ApotFormat(value["exponent_bits"], value["low"])
        except (TypeError, ValueError) as error:
            raise NetworkError(f"{self.name}: not a format of additive powers of two: {error}") from None

    def records(self, key: str) -> PostParameters:
        return self._records_from_json(key, self.values[key])

    def record_tuple(self, key: str) -> tuple[PostParameters, ...]:
        return tuple(self._records_from_json(f"{key}{i}", value) for i, value in enumerate(self.values[key]))

    def _records_to_json(self, key: str, post: PostParameters) -> dict:
        for name, value in post.arrays().items():
            self.put_tensor(f"{key}.{name}", value.astype(np.int32))
        return {"activation": post.activation, "fraction_bits": post.fraction_bits}

    def _records_from_json(self, key: str, value: dict) -> PostParameters:
        arrays = {name: self.tensor(f"{key}.{name}", np.int32).astype(np.int64) for name in PostParameters.ARRAYS}
        return PostParameters(
            **arrays,
            activation=value["activation"],
            fraction_bits=whole(value["fraction_bits"], f"{self.name}.{key}: fraction_bits"),
        )
