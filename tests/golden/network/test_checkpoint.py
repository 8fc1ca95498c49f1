"""Checkpoints: both naming schemes, every container, and one clear line for everything that can be wrong."""

import pickle
import warnings

import pytest
import torch
from safetensors.torch import save_file

from triovit.golden.network.checkpoint import (
    CheckpointError,
    identify,
    load_model,
    load_state,
    read_checkpoint,
    save_checkpoint,
)
from triovit.golden.network.efficientvit.model import EfficientViT
from triovit.golden.network.seeded import initialize

SAMPLE = "backbone.stages.2.op_list.1.local_module.main.depth_conv.conv.bias"


@pytest.fixture(scope="module")
def state():
    return dict(initialize(EfficientViT("b0", 10, 32), seed=5).state_dict())


@pytest.fixture
def model():
    return EfficientViT("b0", 10, 32)


def timm_name(name):
    """timm's name of an official parameter, written independently of the package's table."""
    parts = name.split(".")
    if parts[:3] == ["backbone", "input_stem", "op_list"]:
        block = int(parts[3])
        return ".".join(["stem", "in_conv" if block == 0 else f"res{block - 1}", *parts[4:]])
    if parts[:2] == ["backbone", "stages"]:
        return ".".join(["stages", parts[2], "blocks", *parts[4:]])
    index = {("0",): "in_conv", ("2", "linear"): "classifier.0", ("2", "norm"): "classifier.1"}
    if parts[2] == "0":
        return ".".join(["head", index["0",], *parts[3:]])
    if parts[2] == "3":
        return f"head.classifier.4.{parts[-1]}"
    return f"head.{index[parts[2], parts[3]]}.{parts[-1]}"


def fill(model, path):
    load_state(model, read_checkpoint(path).state, source=str(path))


def assert_loaded(model, state):
    loaded = model.state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], state[name]) for name in state)


@pytest.mark.parametrize("container", ["a.pt", "a.pth", "a.safetensors"])
@pytest.mark.parametrize("scheme", ["official", "timm"])
def test_both_schemes_in_every_container(model, state, tmp_path, scheme, container):
    named = {timm_name(name): tensor for name, tensor in state.items()} if scheme == "timm" else state
    assert len(named) == len(state)
    path = tmp_path / container
    save_file(named, path) if container.endswith("safetensors") else torch.save(named, path)
    fill(model, path)
    assert_loaded(model, state)


@pytest.mark.parametrize("wrapper", ["state_dict", "model"])
def test_wrapped_and_prefixed(model, state, tmp_path, wrapper):
    path = tmp_path / "a.pt"
    torch.save({"epoch": 3, wrapper: {f"module.{name}": tensor for name, tensor in state.items()}}, path)
    fill(model, path)
    assert_loaded(model, state)


def test_counters_may_be_absent_and_half_precision_is_widened(model, state, tmp_path):
    path = tmp_path / "a.safetensors"
    kept = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    assert len(kept) < len(state)
    save_file({name: tensor.half() for name, tensor in kept.items()}, path)
    fill(model, path)
    assert model.state_dict()[SAMPLE].dtype == torch.float32
    assert torch.equal(model.state_dict()[SAMPLE], state[SAMPLE].half().float())


def test_save_and_recognize(model, state, tmp_path):
    path = tmp_path / "a.safetensors"
    model.load_state_dict(state)
    save_checkpoint(model, path, {"note": "seeded"})
    read, metadata = (found := read_checkpoint(path)).state, found.metadata
    assert metadata == {"note": "seeded"}
    assert identify(read) == ("b0", 10)
    again = load_model(path, resolution=64)
    assert (again.preset.name, again.n_classes, again.resolution) == ("b0", 10, 64)
    assert_loaded(again, state)
    assert not again.training
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.safetensors"]
    with pytest.raises(ValueError, match=r"path must end in \.safetensors"):
        save_checkpoint(model, tmp_path / "a.pt")


def refuse(model, path):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        fill(model, path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    return caught.value


def test_missing_unexpected_mis_shaped_non_finite(model, state, tmp_path):
    path = tmp_path / "a.safetensors"
    broken = dict(state)
    del broken[SAMPLE]
    broken["extra.weight"] = torch.zeros(1)
    shaped = "head.op_list.2.linear.weight"
    broken[shaped] = torch.zeros(4, 4)
    infinite, negative = "head.op_list.2.norm.bias", "head.op_list.0.norm.running_var"
    broken[infinite] = torch.full_like(state[infinite], float("nan"))
    broken[negative] = -state[negative]
    save_file(broken, path)
    error = refuse(model, path)
    assert error.missing == (SAMPLE,)
    assert error.unexpected == ("extra.weight",)
    assert error.mis_shaped == (shaped,)
    assert set(error.non_finite) == {infinite, negative}
    for word in ("missing: ", "unexpected: ", "mis-shaped: ", "non-finite: ", SAMPLE, "extra.weight", shaped, infinite):
        assert word in str(error)


def test_long_lists_are_cut(model, state, tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({name: tensor for name, tensor in state.items() if ".norm.weight" not in name}, path)
    error = refuse(model, path)
    assert len(error.missing) > 4
    assert str(error).endswith(f"and {len(error.missing) - 4} more")


def test_integer_weights_are_refused(model, state, tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({**state, SAMPLE: torch.zeros(state[SAMPLE].shape, dtype=torch.int32)}, path)
    assert refuse(model, path).non_finite == (SAMPLE,)


def test_numbers_that_float32_cannot_hold(model, state, tmp_path):
    path = tmp_path / "a.safetensors"
    wide = state[SAMPLE].double()
    wide[0] = 1e58  # finite in the file
    save_file({**state, SAMPLE: wide}, path)
    assert refuse(model, path).non_finite == (SAMPLE,)


@pytest.mark.parametrize("kind", [torch.float8_e4m3fn, torch.float8_e5m2, torch.bfloat16, torch.float64])
def test_other_floats_are_converted(model, state, tmp_path, kind):
    path = tmp_path / "a.safetensors"
    save_file({**state, SAMPLE: state[SAMPLE].to(kind)}, path)
    fill(model, path)
    assert torch.equal(model.state_dict()[SAMPLE], state[SAMPLE].to(kind).float())
    broken = state[SAMPLE].to(kind)
    broken[0] = float("nan")
    save_file({**state, SAMPLE: broken}, path)
    assert refuse(model, path).non_finite == (SAMPLE,)


def test_fewer_than_two_classes(state, tmp_path):
    path = tmp_path / "a.safetensors"
    last = {name: state[name][:1].clone() for name in state if name.startswith("head.op_list.3.linear.")}
    save_file({**state, **last}, path)
    with pytest.raises(CheckpointError, match=r"a\.safetensors: .* must have at least 2 outputs, not 1"):
        load_model(path)


def test_other_class_count_and_other_size(state, tmp_path):
    path = tmp_path / "a.safetensors"
    save_file(state, path)
    assert "has 10 classes, the network 101" in str(refuse(EfficientViT("b0", 101, 32), path))
    assert "holds EfficientViT-b0, the network is b1" in str(refuse(EfficientViT("b1", 10, 32), path))


def test_not_an_efficientvit(model, state, tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"conv1.weight": torch.zeros(64, 3, 7, 7)}, path)
    assert "not an EfficientViT classifier" in str(refuse(model, path))
    with pytest.raises(CheckpointError, match="not an EfficientViT classifier"):
        load_model(path)
    save_file({**state, "backbone.input_stem.op_list.0.conv.weight": torch.zeros(7, 3, 3, 3)}, path)
    assert "the stem has 7 channels" in str(refuse(model, path))


@pytest.mark.parametrize("container", ["a.pt", "a.safetensors"])
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.99])
def test_truncated_files(model, state, tmp_path, container, kept):
    path = tmp_path / container
    save_file(state, path) if container.endswith("safetensors") else torch.save(state, path)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    assert "not a whole" in str(refuse(model, path))


@pytest.mark.parametrize("container", ["a.pt", "a.safetensors"])
def test_files_of_noise(model, tmp_path, container):
    path = tmp_path / container
    path.write_bytes(b"this is a text file, not a checkpoint\n" * 20)
    assert "not a whole" in str(refuse(model, path))


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_nested_tensors_are_refused(model, tmp_path):
    torch.save({"a": torch.nested.nested_tensor([torch.zeros(3), torch.zeros(2)])}, tmp_path / "a.pt")
    assert "not plain tensors with names: a" in str(refuse(model, tmp_path / "a.pt"))


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_programs_of_torch_are_refused_in_one_line(model, tmp_path):
    path = tmp_path / "a.pt"
    torch.jit.save(torch.jit.script(torch.nn.Identity()), path)
    with warnings.catch_warnings(action="error"):  # torch's remark would be more than one line
        assert "not a whole torch file" in str(refuse(model, path))


class Executes:
    def __reduce__(self):
        return print, ("executed",)


def test_pickled_code_is_not_run(model, tmp_path, capsys):
    path = tmp_path / "a.pt"
    path.write_bytes(pickle.dumps(Executes(), protocol=2))
    refuse(model, path)
    torch.save({"state_dict": Executes()}, path)
    refuse(model, path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, "no dictionary of tensors"),
        (torch.zeros(3), "no dictionary of tensors"),
        ({"epoch": 3, "lr": 0.1}, "not plain tensors with names: epoch, lr"),
        ({0: torch.zeros(3), "a": torch.zeros(3)}, "not plain tensors with names: 0"),
        ({"a": torch.eye(3).to_sparse()}, "not plain tensors with names: a"),
        ({"a": torch.zeros(3, device="meta")}, "not plain tensors with names: a"),
        ({"a": torch.zeros(3, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)}, "not plain tensors with names: a"),
    ],
)
def test_other_content(model, tmp_path, content, words):
    path = tmp_path / "a.pt"
    torch.save(content, path)
    assert words in str(refuse(model, path))


def test_no_file_and_unknown_suffix(model, tmp_path):
    assert "no such checkpoint file" in str(refuse(model, tmp_path / "absent.pt"))
    assert "no such checkpoint file" in str(refuse(model, tmp_path))
    path = tmp_path / "a.onnx"
    path.write_bytes(b"x")
    assert "the suffix of a checkpoint must be one of .pt, .pth, .bin, .safetensors" in str(refuse(model, path))
