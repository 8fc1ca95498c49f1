"""Which weights of a file are meant: never guessed where there is a choice."""

import pytest
import torch

from triovit.golden.network.checkpoint import CheckpointError, load_model, read_checkpoint
from triovit.golden.network.containers import choose
from triovit.golden.network.efficientvit.model import EfficientViT
from triovit.golden.network.seeded import initialize


@pytest.fixture(scope="module")
def raw():
    return dict(initialize(EfficientViT("b0", 4, 32), 1).state_dict())


@pytest.fixture(scope="module")
def averaged():
    return dict(initialize(EfficientViT("b0", 4, 32), 2).state_dict())


OPTIMIZER = {"state": {0: {"exp_avg": torch.zeros(3), "step": torch.tensor(3)}}, "param_groups": [{"lr": 0.1}]}


def prefixed(prefix, state):
    return {prefix + name: tensor for name, tensor in state.items()}


def equal(state, other):
    return state.keys() == other.keys() and all(torch.equal(state[name], other[name]) for name in state)


@pytest.fixture
def written(tmp_path):
    def write(content):
        torch.save(content, tmp_path / "a.pth")
        return tmp_path / "a.pth"

    return write


@pytest.mark.parametrize(
    ("build", "names"),
    [
        (lambda r, a: {"state_dict": r, "state_dict_ema": a}, ("state_dict", "state_dict_ema")),
        (lambda r, a: {"model": r, "model_ema": a, "optimizer": OPTIMIZER, "epoch": 3}, ("model", "model_ema")),
        (lambda r, a: {"state_dict": r, "ema": {0.9998: a}}, ("state_dict", "ema.0.9998")),
        (lambda r, a: {"student": prefixed("module.", r), "teacher": a}, ("student", "teacher")),
        (
            lambda r, a: {"train": {"net": r, "averages": [{"w": prefixed("n.", a)}]}},
            ("train.net", "train.averages.0.w"),
        ),
        (lambda r, a: [r, a], ("0", "1")),
        (lambda r, a: r | {"ema": a}, (".", "ema")),
        (lambda r, a: prefixed("model.", r) | prefixed("model_ema.", a), ("model", "model_ema")),
        (
            lambda r, a: {"state_dict": prefixed("m._orig_mod.", r) | prefixed("ema.", a)},
            ("state_dict.m", "state_dict.ema"),
        ),
        (lambda r, a: {"state_dict": r | prefixed("ema.", a)}, ("state_dict", "state_dict.ema")),
    ],
)
def test_several_sets_are_refused_until_one_is_chosen(written, raw, averaged, build, names):
    path = written(build(raw, averaged))
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    text, count = str(caught.value), len(raw)
    assert text.startswith(
        f"{path}: holds 2 sets of weights, {names[0]} ({count} tensors), {names[1]} ({count} tensors)"
    )
    assert text.endswith(f"such as --weights {names[1]}")
    for name, state in zip(names, (raw, averaged), strict=True):
        assert equal(read_checkpoint(path, name).state, state), name


def test_a_container_of_one_set_may_be_named(written, raw, averaged):
    path = written({"state_dict": raw, "ema": {0.9998: averaged}})
    assert equal(read_checkpoint(path, "ema").state, averaged)
    path = written({"state_dict": raw, "ema": {"slow": averaged, "fast": averaged}})
    with pytest.raises(CheckpointError, match=r"'ema': holds 2 sets of weights, ema\.slow .*, ema\.fast "):
        read_checkpoint(path, "ema")


@pytest.mark.parametrize("wanted", ["emas", "state_dict.", "state_dict.backbon", "", "head.x"])
def test_a_set_that_is_not_there(written, raw, averaged, wanted):
    path = written({"state_dict": raw, "ema": averaged})
    with pytest.raises(CheckpointError, match=r"holds no weights called '.*', but state_dict, ema"):
        read_checkpoint(path, wanted)


@pytest.mark.parametrize("outer", ["", "state_dict", "model", "net", "checkpoint.model"])
@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "model.", "_orig_mod.module.", "model.net._orig_mod.", "backbone."]
)
def test_one_set_behind_any_wrapper_and_prefix(written, raw, outer, prefix):
    content = prefixed(prefix, raw)
    for name in reversed(outer.split(".") if outer else []):
        content = {name: content, "optimizer": OPTIMIZER, "epoch": 3}
    found = read_checkpoint(written(content))
    assert equal(found.state, raw)
    assert (found.weights.path, found.weights.prefix) == (outer, prefix)
    assert ("optimizer" in found.weights.ignored) == bool(outer)


def test_counters_need_no_prefix(written, raw):
    found = read_checkpoint(written({"n_averaged": torch.tensor(5), **prefixed("module.", raw)}))
    assert equal(found.state, raw) and found.weights.ignored == ("n_averaged",)


def test_mixed_prefixes_are_refused_naming_both(written, raw):
    first = next(iter(raw))
    half = {(f"module.{name}" if i % 2 else name): tensor for i, (name, tensor) in enumerate(raw.items())}
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(written(half))
    assert "some names begin with 'module.' (module.backbone" in str(caught.value)
    assert f"others do not ({first}, " in str(caught.value)

    path = written({"state_dict": prefixed("model.", raw) | {"criterion.weight": torch.zeros(4)}})
    with pytest.raises(
        CheckpointError, match=r"others do not \(criterion.weight\); choose .*--weights state_dict\.model"
    ):
        read_checkpoint(path)
    found = read_checkpoint(path, "state_dict.model")
    assert equal(found.state, raw) and found.weights.ignored == ("criterion.weight",)


def test_names_that_collide(written, raw):
    timm = {"stem.in_conv.conv.weight": torch.zeros(8, 3, 3, 3)}
    with pytest.raises(CheckpointError, match=r"conv.weight and stem\.in_conv\.conv\.weight are names of one tensor"):
        read_checkpoint(written(raw | timm))
    with pytest.raises(CheckpointError, match=r"must not be the others' prefix alone, but there is 'module\.'"):
        read_checkpoint(written(prefixed("module.", raw) | {"module.": torch.zeros(1)}))


def test_other_networks_are_told_by_their_first_strange_name(written, raw):
    path = written(
        {"state_dict": {"model.conv1.weight": torch.zeros(4, 3, 7, 7), "model.fc.weight": torch.zeros(4, 4)}}
    )
    with pytest.raises(CheckpointError, match=r"not an EfficientViT classifier: .* is 'model\.conv1\.weight'"):
        load_model(path)
    with pytest.raises(CheckpointError, match=r"first or final layer missing$"):
        load_model(written({name: tensor for name, tensor in raw.items() if "head.op_list.3" not in name}))


def test_folded_normalizations_are_told(written, raw):
    model, state = EfficientViT("b0", 4, 32), dict(raw)
    folded = 0
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            bias = state.pop(f"{name}.bias")
            for part in ("weight", "running_mean", "running_var", "num_batches_tracked"):
                del state[f"{name}.{part}"]
            state[f"{name.rpartition('.')[0]}.conv.bias"] = bias
            folded += 1
    text = f"folded into the convolutions ({folded}: backbone.input_stem.op_list.0.conv.bias is there"
    with pytest.raises(CheckpointError) as caught:
        load_model(written(state))
    assert text in str(caught.value) and "\n" not in str(caught.value)


def test_a_saved_module_is_refused_with_the_remedy(written, raw):
    model = EfficientViT("b0", 4, 32)
    for content in (model, {"model": model, "epoch": 3}):
        with pytest.raises(CheckpointError) as caught:
            load_model(written(content))
        assert "EfficientViT); save the weights alone: torch.save(model.state_dict(), FILE)" in str(caught.value)


def test_numbers_beside_tensors_are_named(raw):
    found = choose(raw | {"epoch": 3, "optimizer": OPTIMIZER}, lambda tensors: len(tensors) == len(raw))
    assert equal(found.tensors, raw) and found.ignored == ("epoch", "optimizer")
