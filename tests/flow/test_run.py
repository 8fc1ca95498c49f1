"""triovit run on its three backends."""

import json

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from triovit.flow.images import find_image
from triovit.golden.assets import FLOAT_NETWORK
from triovit.golden.integer.execute import execute
from triovit.golden.integer.serialize import load_network
from triovit.golden.network.bundled import load_bundled
from triovit.golden.network.efficientvit.checkpoint import CLASSIFIER_KEY, STEM_KEY


def logits(outcome):
    return np.array([image["logits"] for image in outcome.report["images"]])


def test_the_sample_photo_shows_a_cat(triovit):
    outcomes = {backend: triovit("run", "--backend", backend) for backend in ("float", "golden")}
    for backend, outcome in outcomes.items():
        assert outcome.status == 0
        assert outcome.report["images"][0]["class"] == "cat" and outcome.report["backend"] == backend
        assert f"sample photo of a cat: cat ({backend})" in outcome.out
        assert outcome.report["cycles"] is None
    scale = outcomes["golden"].report["logit_scale"]
    spread = np.ptp(logits(outcomes["float"]))
    assert np.abs(logits(outcomes["golden"]) * scale - logits(outcomes["float"])).max() < 0.1 * spread


def test_top(triovit):
    outcome = triovit("run", "--backend", "golden", "--top", 2)
    rows = [line.split("│")[1].strip() for line in outcome.out.splitlines() if line.startswith("│")]
    order = np.argsort(-logits(outcome)[0], kind="stable")[:2]
    assert len(rows) == 2 and rows[0] == "cat"
    assert order[0] == 3


def test_rtl_gives_the_integer_model_s_logits(triovit, small_file, photos):
    """All timings of the memory, and a data set of more than one image."""
    network = load_network(small_file)
    image = photos / "cat" / "a.png"
    expected = execute(network, find_image(str(image), 20).input)[network.output].reshape(-1)
    cycles = []
    for more in ((), ("--stalls", 0.2, "--stall-seed", 5), ("--read-latency", 200), ("--bytes-per-cycle", 2)):
        outcome = triovit("run", small_file, "--config", "trio-tiny", "--image", image, *more)
        assert outcome.status == 0
        assert np.array_equal(logits(outcome)[0], expected)
        cycles += outcome.report["cycles"]
    assert len(set(cycles)) == 4 and min(cycles) == cycles[0]
    assert f"{cycles[-1]:,} cycles on the RTL" in outcome.err

    golden, rtl = (
        triovit("run", small_file, "--config", "trio-tiny", "--data", photos, "--backend", backend)
        for backend in ("golden", "rtl")
    )
    assert np.array_equal(logits(golden), logits(rtl)) and len(logits(rtl)) == 4
    assert golden.report["accuracy"] == rtl.report["accuracy"]
    assert len(rtl.report["cycles"]) == 4


def test_accuracy_counts_the_network_s_classes(triovit, photos):
    """Folders are matched by name: cat, dog and ship are classes 3, 5 and 8 of the bundled network."""
    outcome = triovit("run", "--backend", "golden", "--data", photos)
    found = [image["class"] for image in outcome.report["images"]]
    right = sum(a == b for a, b in zip(found, ["cat", "cat", "dog", "ship"], strict=True))
    assert outcome.report["accuracy"] == 25 * right
    assert f"top-1 {25 * right:.2f} % of 4 images (golden)" in outcome.out


def test_evenly_spaced_images(triovit, photos):
    names = [image["image"] for image in triovit("run", "--backend", "golden", "--data", photos).report["images"]]
    assert names == ["image 0", "image 1", "image 2", "image 3"]
    outcome = triovit("run", "--backend", "golden", "--data", photos, "--images", 2)
    assert [image["image"] for image in outcome.report["images"]] == ["image 0", "image 2"]


def test_seeded_float_network(triovit, refused):
    outcome = triovit("run", "b0-r32", "--backend", "float")
    assert outcome.status == 0
    assert outcome.report["images"][0]["class"].startswith("class ")
    assert np.isfinite(logits(outcome)).all()
    text = refused("run", "b0-r32", "--backend", "float", "--resolution", 64)
    assert text == "b0-r32 has a resolution of 32, not 64\n"
    for backend in ("golden", "rtl"):
        text = refused("run", "bundled", "--backend", backend, "--resolution", 224)
        assert text.startswith("--resolution goes with --backend float")


def test_float_network_has_what_its_file_says(triovit, tmp_path):
    """Classes and outputs in another order, a normalization that the first filter makes up for: the same network."""
    bundled = load_bundled()
    state, order = load_file(FLOAT_NETWORK), list(range(9, -1, -1))
    for name in ("weight", "bias"):
        key = CLASSIFIER_KEY.replace("weight", name)
        state[key] = state[key][order].contiguous()
    state[STEM_KEY] *= 4
    facts = {
        "classes": bundled.classes[::-1],
        "resolution": 64,
        "mean": bundled.mean,
        "std": [4 * value for value in bundled.std],
    }
    save_file(state, tmp_path / "same.safetensors", {name: json.dumps(value) for name, value in facts.items()})
    plain, same = (triovit("run", name, "--backend", "float") for name in ("bundled", tmp_path / "same.safetensors"))
    assert same.report["images"][0]["class"] == plain.report["images"][0]["class"] == "cat"
    assert np.allclose(logits(same)[:, ::-1], logits(plain), atol=1e-3)
    large = triovit("run", tmp_path / "same.safetensors", "--backend", "float", "--resolution", 96)
    assert not np.allclose(logits(large), logits(same), atol=1e-3)


@pytest.mark.parametrize("backend", ["float", "golden"])
def test_other_classes_are_refused(triovit, photos, backend):
    outcome = triovit("run", "b0-r32", "--backend", backend, "--data", photos)
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.endswith(f"--data {photos}: 3 classes, the network has 1000 outputs, and no names for them\n")


def test_several_images_and_folders(triovit, photos, small_file):
    """On every backend, in the order in which they are named; each as if it were alone."""
    paths = [photos / "ship", photos / "cat" / "a.png"]
    for words in (("bundled", "--backend", "float"), ("bundled", "--backend", "golden"), (small_file,)):
        machine = ("--config", "trio-tiny") if words == (small_file,) else ()
        together = triovit("run", *words, *machine, "--image", *paths, "--image", photos / "dog")
        assert together.status == 0, together.err
        names = [str(photos / name) for name in ("ship/d.png", "cat/a.png", "dog/c.jpg")]
        assert [image["image"] for image in together.report["images"]] == names
        alone = [triovit("run", *words, *machine, "--image", name) for name in names]
        assert np.allclose(logits(together), np.concatenate([logits(one) for one in alone]), rtol=1e-4, atol=1e-4)
        rows = [line for line in together.out.splitlines() if line.startswith("│")]
        assert len(rows) == 3 and all(
            image["image"] in row and f" {image['class']} " in row
            for image, row in zip(together.report["images"], rows, strict=True)
        )


def test_names_of_the_outputs(triovit, refused, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("\n".join(f"Klasse {k} ä" for k in range(10)), encoding="utf-8")
    outcome = triovit("run", "--backend", "golden", "--classes", names)
    assert outcome.report["images"][0]["class"] == "Klasse 3 ä" and "Klasse 3 ä" in outcome.out
    names.write_text("a\nb\n", encoding="utf-8")
    assert "must name the network's 10 outputs" in refused("run", "--backend", "golden", "--classes", names)


def test_a_network_behind_the_images_is_told(refused, photos, small_file, tmp_path):
    for network in ("bundled", "b1-r224", small_file):
        text = refused("run", "--backend", "golden", "--image", photos / "cat" / "a.png", network)
        assert "goes before --image" in text
    (tmp_path / "none").mkdir()
    assert "none: no images in it" in refused("run", "--backend", "golden", "--image", tmp_path / "none")
