"""A kind of node that the project does not have, in this file alone: everything takes it, or refuses it by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from tests.networks import random_image
from triovit.compiler import CompileError, compile_network
from triovit.golden.batch import executor
from triovit.golden.batch.executor import BatchExecutor
from triovit.golden.integer.errors import NetworkError
from triovit.golden.integer.execute import execute
from triovit.golden.integer.family import family, first_reason
from triovit.golden.integer.network import INPUT, IntegerNetwork
from triovit.golden.integer.nodes import NODES, Convolution, Node, Pool
from triovit.golden.integer.nodes.base import Shape
from triovit.golden.integer.nodes.bound import Bound
from triovit.golden.integer.nodes.stored import StoredNode
from triovit.golden.integer.records import PostParameters, post_process
from triovit.golden.integer.serialize import load_network, save_network
from triovit.hdl.config.accelerator import PRESETS


@dataclass(frozen=True)
class MatrixProduct(Node):
    """Two feature maps (C, H, W) channel by channel as matrices: left (C, H, K) times right (C, K, W)."""

    name: str
    left: str
    right: str
    post: PostParameters

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.left, self.right

    @property
    def kind(self) -> str:
        return "matrix product"

    def output_shapes(self, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
        (channels, rows, inner), right = shapes[self.left], shapes[self.right]
        if right[:2] != (channels, inner):
            raise self.error(f"right must have shape ({channels}, {inner}, W), not {right}")
        self.post.validate(self.name, channels)
        return {self.name: (channels, rows, right[2])}

    def bounds(self, shapes: Mapping[str, Shape]) -> list[Bound]:
        return [Bound.of(self.name, "matrix product", 128 * 128 * shapes[self.left][2], self.post)]

    def run(self, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        product = tensors[self.left].astype(np.int64) @ tensors[self.right].astype(np.int64)
        return {self.name: post_process(product, self.post)}

    def macs(self, shapes: Mapping[str, Shape]) -> int:
        channels, rows, inner = shapes[self.left]
        return channels * rows * inner * shapes[self.name][2]

    def records(self) -> tuple[PostParameters, ...]:
        return (self.post,)

    def store(self, file: StoredNode) -> None:
        file.put(left=self.left, right=self.right)
        file.put_records("post", self.post)

    @classmethod
    def load(cls, file: StoredNode) -> MatrixProduct:
        return cls(file.name, file.text("left"), file.text("right"), file.records("post"))


class BatchMatrixProduct:
    def __init__(self, node: MatrixProduct):
        self.node = node

    def __call__(self, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        left, right = (tensors[name].permute(0, 3, 1, 2) for name in self.node.inputs)
        psums = (left.long() @ right.long()).numpy()
        result = np.stack([post_process(image, self.node.post) for image in psums])
        return {self.node.name: torch.from_numpy(result).float().permute(0, 2, 3, 1)}


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(NODES, "MatrixProduct", MatrixProduct)


def build(shape=(4, 6, 6), **records):
    post = PostParameters.create(4, m1=3, n1=12, zero_point=5, **records)
    point = PostParameters.create(4, m1=1, n1=7)
    weight = np.random.default_rng(1).integers(-127, 128, (4, 4, 1, 1)).astype(np.int8)
    return IntegerNetwork(
        "net",
        shape,
        (
            Convolution("left", INPUT, weight, point),
            MatrixProduct("product", "left", INPUT, post),
            Pool("pool", "product", PostParameters.create(4, m1=1, n1=5)),
        ),
    )


def test_shapes_bounds_macs_and_names():
    network = build(bias=-7).validate()
    assert network.shapes() == {INPUT: (4, 6, 6), "left": (4, 6, 6), "product": (4, 6, 6), "pool": (4, 1, 1)}
    (bound,) = [bound for bound in network.bounds() if bound.node == "product"]
    assert (bound.operation, bound.bound) == ("matrix product", 128 * 128 * 6 + 7)
    assert bound.product_bound == 3 * bound.bound
    assert network.macs() == {"left": 16 * 36, "product": 4 * 6 * 6 * 6, "pool": 0}
    node = network.node("product")
    assert (node.kind, node.label, node.wide) == ("matrix product", "matrix product", ())


def test_its_rules_are_the_networks():
    with pytest.raises(NetworkError, match=r"product: right must have shape \(4, 7, W\), not \(4, 6, 7\)"):
        build(shape=(4, 6, 7)).validate()
    with pytest.raises(NetworkError, match=r"product \(matrix product\): the accumulator can reach \d+, more than 32"):
        build(bias=(1 << 31) - 1).validate()
    with pytest.raises(NetworkError, match="pool: input product is no int8 feature map"):
        build(activation="wide").validate()


def test_runs_one_image_and_many(monkeypatch):
    network = build().validate()
    image = random_image(network, 2)
    tensors = execute(network, image, keep=True)
    psums = np.einsum("chk,ckw->chw", tensors["left"].astype(np.int64), image.astype(np.int64))
    assert np.array_equal(tensors["product"], np.clip(5 + ((psums * 3 + 2048) >> 12), -128, 127))
    with pytest.raises(NetworkError, match="product: no batch execution of MatrixProduct; golden"):
        BatchExecutor(network)
    monkeypatch.setitem(executor.STEPS, MatrixProduct, BatchMatrixProduct)
    pixels = (image.astype(np.int64) + 128).astype(np.uint8).transpose(1, 2, 0)
    found = BatchExecutor(network).tensors(np.stack([pixels, pixels[::-1]]))
    assert all(np.array_equal(found[name][0], tensors[name]) for name in tensors)


def test_is_saved_and_loaded(tmp_path, monkeypatch):
    network = build().validate()
    save_network(network, tmp_path / "net")
    back = load_network(tmp_path / "net")
    assert type(back.node("product")) is MatrixProduct
    save_network(back, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "net").read_bytes()
    image = random_image(network, 3)
    assert np.array_equal(execute(back, image)["pool"], execute(network, image)["pool"])
    monkeypatch.delitem(NODES, "MatrixProduct")
    with pytest.raises(NetworkError, match="unknown node type 'MatrixProduct'"):
        load_network(tmp_path / "net")


def test_has_a_family():
    network = build().validate()
    assert (family(network), first_reason(network)) == ("trio", "")


def test_the_compiler_refuses_it_by_name():
    with pytest.raises(
        CompileError, match="product: no lowering for MatrixProduct; the compiler has one for Convolution, Attention"
    ):
        compile_network(build(), PRESETS["trio-core"])
