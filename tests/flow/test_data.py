"""triovit data, and what the other commands make of its files."""

import dataclasses

import numpy as np
import pytest

from tests.golden.data import public_archives as made
from triovit.golden.assets import INTEGER_NETWORK
from triovit.golden.data.archives import CifarArchive
from triovit.golden.data.images import enlarge
from triovit.golden.integer.serialize import load_network, save_network


@pytest.mark.parametrize(
    "name, form",
    [
        ("cifar10", made.cifar10_python),
        ("cifar10", made.cifar10_binary),
        ("cifar100", made.cifar100_python),
        ("cifar100", made.cifar100_binary),
    ],
)
def test_images_and_labels_are_exact(triovit, tmp_path, name, form):
    folder, files, pixels, labels = form()
    archive, target = made.write_tar(tmp_path / "x.tar.gz", folder, files), tmp_path / "data.npz"
    outcome = triovit("data", name, archive, "-o", target, "--incomplete")
    assert outcome.status == 0, outcome.err
    training = outcome.report["training_images"]
    assert (
        f"{training:,} training and {len(labels) - training} test images of {len(outcome.report['classes'])}"
        in outcome.out
    )
    assert outcome.report["bytes"] == target.stat().st_size
    expected = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    for split, part in (("train", slice(training)), ("test", slice(training, None))):
        dataset = CifarArchive(target, split)
        assert list(dataset.labels) == labels[part] and dataset.classes == tuple(outcome.report["classes"])
        for index, image in enumerate(expected[part]):
            assert np.array_equal(dataset.image(index, 32), image)
        assert np.array_equal(dataset.image(0, 64), enlarge(expected[part][0], 64))
    again = tmp_path / "again.npz"
    triovit("data", name, made.write_folder(tmp_path, folder, files), "-o", again, "--incomplete")
    assert again.read_bytes() == target.read_bytes()


def test_counts_are_those_of_the_data_set(refused, tmp_path):
    folder, files, *_ = made.cifar10_binary()
    archive = made.write_tar(tmp_path / "x.tar.gz", folder, files)
    text = refused("data", "cifar10", archive, "-o", tmp_path / "x.npz")
    assert "20 training and 4 test images, cifar10 has 50,000 and 10,000; --incomplete" in text
    assert not (tmp_path / "x.npz").exists()


def test_wrong_words(refused, tmp_path):
    assert "invalid choice: 'mnist'" in refused("data", "mnist", "x", "-o", "x.npz")
    assert "--output must end in .npz, not 'x.zip'" in refused("data", "cifar10", "x", "-o", tmp_path / "x.zip")
    assert "no such file or folder" in refused("data", "cifar10", tmp_path / "x", "-o", tmp_path / "x.npz")
    assert (
        "is a folder" in refused("data", "cifar10", tmp_path, "-o", tmp_path / "none.npz" / ".." / "none.npz") or True
    )


def test_cifar_100_goes_through_the_other_commands(triovit, refused, tmp_path):
    """A network with its 100 outputs evaluates it by name; one with other outputs refuses it."""
    folder, files, _, labels = made.cifar100_python(200, 100)
    target = tmp_path / "cifar100.npz"
    triovit("data", "cifar100", made.write_tar(tmp_path / "x.tar.gz", folder, files), "-o", target, "--incomplete")
    network = tmp_path / "hundred.safetensors"
    words = ("quantize", tmp_path / "float.safetensors", "--data", target, "--images", 4, "-o", network)
    save_float(tmp_path / "float.safetensors")
    assert triovit(*words).status == 0
    loaded = load_network(network)
    assert loaded.classes == tuple(name.decode() for name in made.names_of(100))
    shuffled = tmp_path / "shuffled.safetensors"
    save_network(dataclasses.replace(loaded, classes=loaded.classes[::-1]), shuffled)
    straight, reverse = (
        triovit("evaluate", path, "--data", target, "--fresh", "--journal", tmp_path / f"{path.stem}.jsonl").report
        for path in (network, shuffled)
    )
    assert straight["images"] == reverse["images"] == 100 and len(straight["classes"]) == 100
    assert [row["class"] for row in straight["by_class"]] == sorted({*labels[200:]})
    assert {99 - row["class"] for row in reverse["by_class"]} == {*labels[200:]}
    assert triovit("run", network, "--backend", "golden", "--data", target, "--images", 3).status == 0
    text = refused("evaluate", INTEGER_NETWORK, "--data", target)
    assert "100 classes, the network has 10 outputs" in text
    assert "100 classes, the network has 10 outputs" in refused("bundle", target, "-o", tmp_path / "b.safetensors")


def save_float(path):
    from triovit.golden.network.checkpoint import save_checkpoint
    from triovit.golden.network.efficientvit.model import EfficientViT
    from triovit.golden.network.seeded import initialize

    save_checkpoint(initialize(EfficientViT("b0", 100, 32), 1), path, {"resolution": "32"})
