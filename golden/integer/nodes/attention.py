"""ReLU linear attention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from triovit.golden.integer import arithmetic
from triovit.golden.integer.apot import ApotFormat
from triovit.golden.integer.nodes.base import Node, Shape
from triovit.golden.integer.nodes.bound import Bound
from triovit.golden.integer.nodes.stored import StoredNode
from triovit.golden.integer.records import PostParameters


@dataclass(frozen=True)
class Attention(Node):
    """ReLU linear attention over several branches (multi-scale), head by head.

    inputs: one tensor (heads * 3 * dim, H, W) per branch; per head q, k, v are consecutive blocks of `dim` channels.
    The output is (branches * heads * dim, H, W), branch after branch. Per branch and head h:
      kv[v, k]  = requantize(sum over tokens of relu(k) v), record h of `product`
      sums[k]   = requantize(sum over tokens of relu(k)), record h of `key_sum`
      code[t]   = divisor_code(relu(q)[t] . sums, log2_offset)
      out[v, t] = shift_divide(relu(q)[t] . kv[v], record h of `divide`, code[t])
    The first three are tensors too: NAME.kv{branch} (heads, dim, dim), NAME.sum{branch} (heads, dim) and
    NAME.code{branch} (heads, tokens).

    key_apot: relu(k) is replaced by the nearest level of these additive powers of two, in the product and in the sum
    (M2-ViT runs K^T V on its shifter-adder-tree); q is not. divisor: "log2", or "uniform" for the ablation of
    Trio-ViT's Table VI, which no hardware runs. Then log2_offset is empty, divisor_scale holds a record per head for
    each branch (m1 and n1 alone), and
      code[t]   = uniform_divisor(relu(q)[t] . sums, record h of `divisor_scale`)    0..255, an int16 tensor
      out[v, t] = uniform_divide(relu(q)[t] . kv[v], record h of `divide`, code[t])
    """

    name: str
    inputs: tuple[str, ...]
    heads: int
    dim: int
    product: tuple[PostParameters, ...]
    key_sum: tuple[PostParameters, ...]
    divide: tuple[PostParameters, ...]
    log2_offset: tuple[int, ...]
    key_apot: ApotFormat | None = None
    divisor: str = "log2"
    divisor_scale: tuple[PostParameters, ...] = ()

    DIVISORS = ("log2", "uniform")
    RECORDS = ("product", "key_sum", "divide", "divisor_scale")  # a tuple with one set of records per branch each
    FIRST_VERSION = {"key_apot": None, "divisor": "log2", "divisor_scale": []}

    @property
    def kind(self) -> str:
        return "attention"

    def intermediates(self, tokens: int) -> dict[str, Shape]:
        """Names and shapes of the intermediate tensors."""
        shapes = {}
        for branch in range(len(self.inputs)):
            shapes[f"{self.name}.kv{branch}"] = (self.heads, self.dim, self.dim)
            shapes[f"{self.name}.sum{branch}"] = (self.heads, self.dim)
            shapes[f"{self.name}.code{branch}"] = (self.heads, tokens)
        return shapes

    def output_shapes(self, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
        _, height, width = shapes[self.inputs[0]]
        branches, channels = len(self.inputs), 3 * self.heads * self.dim
        for name in self.inputs:
            if shapes[name] != (channels, height, width):
                raise self.error(f"input {name} must have {channels} channels, not {shapes[name]}")
        self._check_records()
        return {**self.intermediates(height * width), self.name: (branches * self.heads * self.dim, height, width)}

    def _check_records(self) -> None:
        branches, uniform = len(self.inputs), self.divisor == "uniform"
        if self.divisor not in self.DIVISORS:
            raise self.error(f"divisor must be one of {', '.join(self.DIVISORS)}, not {self.divisor!r}")
        if self.divisor_scale and not uniform:
            raise self.error(f"divisor_scale belongs to divisor 'uniform', not to {self.divisor!r}")
        for group in (self.product, self.key_sum, self.divide, *([self.divisor_scale] if uniform else [])):
            if len(group) != branches:
                raise self.error(f"{branches} branches need as many records, not {len(group)}")
            for post in group:
                post.validate(self.name, self.heads)
                if post.activation != "linear":
                    raise self.error(f"attention records must be linear, not {post.activation}")
        if any(post.bias.any() or post.zero_point.any() for post in self.divisor_scale):
            raise self.error("records of divisor_scale must have bias 0 and zero_point 0")
        if uniform and self.log2_offset:
            raise self.error(f"log2_offset must be empty with divisor 'uniform', not {self.log2_offset}")
        if not uniform and (len(self.log2_offset) != branches or any(not -32 <= o <= 31 for o in self.log2_offset)):
            raise self.error(f"log2_offset must be one of -32..31 a branch, not {self.log2_offset}")

    def bounds(self, shapes: Mapping[str, Shape]) -> list[Bound]:
        _, height, width = shapes[self.inputs[0]]
        key = 127 if self.key_apot is None else int(self.key_apot.nearest(np.arange(128)).max())
        divisor_scale = self.divisor_scale or (None,) * len(self.inputs)
        bounds = []
        for branch in range(len(self.inputs)):
            bounds += [
                Bound.of(self.name, f"K^T V {branch}", key * 128 * height * width, self.product[branch]),
                Bound.of(self.name, f"sum of K {branch}", key * height * width, self.key_sum[branch]),
                Bound.of(self.name, f"divisor {branch}", 127 * 128 * self.dim, divisor_scale[branch]),
                Bound.of(self.name, f"dividend {branch}", 127 * 128 * self.dim, self.divide[branch]),
            ]
        return bounds

    def run(self, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        result, outputs = {}, []
        for branch, name in enumerate(self.inputs):
            _, height, width = tensors[name].shape
            qkv = tensors[name].reshape(self.heads, 3, self.dim, height * width).astype(np.int64)
            q, k, v = np.maximum(qkv[:, 0], 0), np.maximum(qkv[:, 1], 0), qkv[:, 2]
            if self.key_apot is not None:
                k = self.key_apot.nearest(k)
            bias, m1, n1, zp = _by_head(self.product[branch])
            kv = arithmetic.requantize(v @ k.transpose(0, 2, 1) + bias, m1, n1, zp)  # (heads, v, k)
            bias, m1, n1, zp = _by_head(self.key_sum[branch])
            sums = arithmetic.requantize(k.sum(axis=2, keepdims=True) + bias, m1, n1, zp)  # (heads, k, 1)
            divisor = (sums * q).sum(axis=1, keepdims=True)  # (heads, 1, tokens)
            if self.divisor == "uniform":
                _, m1, n1, _ = _by_head(self.divisor_scale[branch])
                code, divide, dtype = arithmetic.uniform_divisor(divisor, m1, n1), arithmetic.uniform_divide, np.int16
            else:
                code = arithmetic.divisor_code(divisor, self.log2_offset[branch])
                divide, dtype = arithmetic.shift_divide, np.int8
            bias, m1, n1, zp = _by_head(self.divide[branch])
            out = divide(kv @ q + bias, m1, n1, code, zp)  # (heads, v, tokens)
            result[f"{self.name}.kv{branch}"] = kv.astype(np.int8)
            result[f"{self.name}.sum{branch}"] = sums[:, :, 0].astype(np.int8)
            result[f"{self.name}.code{branch}"] = code[:, 0].astype(dtype)
            outputs.append(out.astype(np.int8).reshape(-1, height, width))
        return result | {self.name: np.concatenate(outputs)}

    def macs(self, shapes: Mapping[str, Shape]) -> int:
        """K^T V and Q (K^T V), and the ones column of both: the sum of K and the divisor Q . sum."""
        _, height, width = shapes[self.name]
        return 2 * len(self.inputs) * self.heads * self.dim * (self.dim + 1) * height * width

    def records(self) -> tuple[PostParameters, ...]:
        return self.product + self.key_sum + self.divide + self.divisor_scale

    @property
    def wide(self) -> tuple[str, ...]:
        """Uniform divisors; the output never is."""
        return tuple(f"{self.name}.code{b}" for b in range(len(self.inputs)) if self.divisor == "uniform")

    @property
    def additive(self) -> str:
        return "" if self.key_apot is None else f"{self.name} has K in additive powers of two"

    @property
    def ablation(self) -> str:
        if self.divisor != "uniform":
            return ""
        return f"{self.name} divides by 8-bit uniform divisors, an ablation that no hardware runs; log2 divisors run"

    def store(self, file: StoredNode) -> None:
        file.put(inputs=list(self.inputs), heads=self.heads, dim=self.dim)
        file.put(log2_offset=list(self.log2_offset), divisor=self.divisor)
        file.put_apot("key_apot", self.key_apot)
        for kind in self.RECORDS:
            file.put_record_tuple(kind, getattr(self, kind))

    @classmethod
    def load(cls, file: StoredNode) -> Attention:
        return cls(
            name=file.name,
            inputs=file.texts("inputs", "input"),
            heads=file.integer("heads"),
            dim=file.integer("dim"),
            log2_offset=file.integers("log2_offset"),
            divisor=file.values["divisor"],
            key_apot=file.apot("key_apot"),
            **{kind: file.record_tuple(kind) for kind in cls.RECORDS},
        )


def _by_head(post: PostParameters) -> list[np.ndarray]:
    """bias, m1, n1 and zero_point, (heads, 1, 1) each."""
    return [getattr(post, name)[:, None, None] for name in ("bias", "m1", "n1", "zero_point")]
