"""triovit evaluate: accuracy by hand, journals, classes, broken images, clusters."""

import dataclasses
import io
import json
import logging
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from distributed import LocalCluster
from PIL import Image

from triovit.flow import evaluate as command
from triovit.golden.batch.executor import BatchExecutor
from triovit.golden.data.images import load_image
from triovit.golden.evaluation.parallel import fan_out
from triovit.golden.evaluation.predictors import FloatPredictor
from triovit.golden.integer.execute import execute, pixels_to_input
from triovit.golden.integer.serialize import save_network
from triovit.golden.network.bundled import load_bundled
from triovit.golden.network.checkpoint import save_checkpoint
from triovit.golden.network.efficientvit.model import EfficientViT
from triovit.golden.network.normalize import normalize
from triovit.golden.network.seeded import initialize, random_images
from triovit.golden.quantization.quantize import quantize

CLASSES = ("zebra", "ant", "yak", "bee", "cow", "dog", "emu")
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)
IMAGES_A_CLASS = 3


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Journals go into the current folder. Whoever edits the source during a test run does not part journals."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRIOVIT_BUILD", raising=False)
    monkeypatch.setattr(command, "code_hash", lambda: "unchanged")


@pytest.fixture(scope="module")
def model():
    return initialize(EfficientViT("b0", 7, 32), 1)


@pytest.fixture(scope="module")
def network(model):
    return quantize(model, random_images(4, 32, 1).numpy(), name="tiny", classes=CLASSES)


@pytest.fixture(scope="module")
def files(model, network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    save_network(network, folder / "int8.safetensors")
    facts = {"classes": CLASSES, "resolution": 32, "mean": MEAN, "std": STD, "crop": 0.95}
    save_checkpoint(model, folder / "float.safetensors", {name: json.dumps(value) for name, value in facts.items()})
    return folder


def make_folder(folder, names, suffix, count=IMAGES_A_CLASS):
    rng = np.random.default_rng(8)
    for name in names:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            image = Image.fromarray(rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)).resize((40, 36))
            image.save(folder / name / f"{name}_{number:08d}{suffix}")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("data") / "images", CLASSES, ".png")


@pytest.fixture(scope="module")
def expected(network, data):
    """(label, classes likeliest first) of all images, in sorted order, by the reference and without what is tested."""
    found = []
    for path in sorted(data.rglob("*.png")):
        pixels = load_image(path, 32)
        logits = execute(network, pixels_to_input(pixels))[network.output].reshape(-1).tolist()
        order = sorted(range(7), key=lambda c, logits=logits: (-logits[c], c))
        found.append((CLASSES.index(path.parent.name), order))
    return found


def result(outcome):
    """What must not depend on how an evaluation was made."""
    keys = ("images", "top1", "top5", "by_class", "confusions", "broken", "classes")
    return {key: outcome.report[key] for key in keys}


def test_golden(triovit, files, data, expected):
    outcome = triovit("evaluate", files / "int8.safetensors", "--data", data)
    assert outcome.status == 0
    top1 = [order[0] == label for label, order in expected]
    top5 = [label in order[:5] for label, order in expected]
    report = outcome.report
    assert (report["images"], report["backend"], report["classes"]) == (21, "golden", list(CLASSES))
    assert report["top1"]["correct"] == sum(top1) and report["top5"]["correct"] == sum(top5)
    assert report["top1"]["percent"] == pytest.approx(100 * sum(top1) / 21)
    p = sum(top1) / 21
    assert report["top1"]["standard_error"] == pytest.approx(100 * (p * (1 - p) / 21) ** 0.5)
    assert f"top-1 {100 * p:.2f} % ± {100 * (p * (1 - p) / 21) ** 0.5:.2f} ({sum(top1)} of 21 images)" in outcome.out
    assert f"top-5 {100 * sum(top5) / 21:.2f} %" in outcome.out
    assert re.search(r"21 images in [\d.]+ s: [\d.]+ images/s", outcome.out)
    assert report["evaluated"] == 21 and report["images_per_second"] == pytest.approx(21 / report["seconds"])
    for entry in report["by_class"]:
        mine = [(label, order) for label, order in expected if label == entry["class"]]
        assert entry["name"] == CLASSES[entry["class"]] and entry["images"] == len(mine) == 3
        assert entry["top1"] == sum(order[0] == label for label, order in mine)
        assert entry["top5"] == sum(label in order[:5] for label, order in mine)
    wrong = {(label, order[0]) for label, order in expected if order[0] != label}
    assert {(entry["class"], entry["predicted"]) for entry in report["confusions"]} == wrong
    assert sum(entry["images"] for entry in report["confusions"]) == 21 - sum(top1)
    worst = min(report["by_class"], key=lambda entry: entry["top1"])
    assert worst["name"] in outcome.out.split("lowest top-1")[1].split("│")[1]
    first = report["confusions"][0]
    row = outcome.out.split("most frequent confusions")[1].split("│")[1:5]
    assert [cell.strip() for cell in row] == [
        CLASSES[first["class"]],
        CLASSES[first["predicted"]],
        str(first["images"]),
        f"{100 * first['images'] / 3:.1f}",
    ]


def test_float_with_the_file_s_resolution_normalization_and_classes(triovit, model, files, data):
    outcome = triovit("evaluate", files / "float.safetensors", "--backend", "float", "--data", data)
    paths = sorted(data.rglob("*.png"))
    pixels = torch.from_numpy(np.stack([load_image(path, 32) for path in paths]))
    labels = torch.tensor([CLASSES.index(path.parent.name) for path in paths])
    with torch.inference_mode():
        logits = model(normalize(pixels, MEAN, STD))
    assert outcome.report["top1"]["correct"] == int((logits.argmax(1) == labels).sum())
    assert outcome.report["top5"]["correct"] == int((logits.topk(5).indices == labels[:, None]).any(1).sum())
    assert outcome.report["classes"] == list(CLASSES) and outcome.err == ""


def test_float_checkpoint_of_torch(triovit, refused, model, data, monkeypatch):
    """It says nothing: sorted folders, ImageNet's normalization, and the resolution that is asked for."""
    torch.save({"state_dict": model.state_dict()}, "plain.pt")
    sizes = []
    original = FloatPredictor.logits
    monkeypatch.setattr(
        FloatPredictor, "logits", lambda self, pixels: (sizes.append(pixels.shape[1]), original(self, pixels))[1]
    )
    outcome = triovit("evaluate", "plain.pt", "--backend", "float", "--data", data, "--resolution", 64)
    assert outcome.status == 0 and set(sizes) == {64}
    assert outcome.report["classes"] == sorted(CLASSES)
    assert "7 classes, as many as the network's outputs: taken in this order, not by name" in outcome.err
    assert triovit("evaluate", "plain.pt", "--backend", "float", "--data", data, "--images", 1).status == 0
    assert sizes[-1] == 224
    assert "--resolution goes with --backend float" in refused("evaluate", "--resolution", 64, "--data", data)


def test_processes_and_batches_change_nothing(triovit, files, data):
    outcomes = [
        triovit("evaluate", files / "int8.safetensors", "--data", data, "--fresh", *more)
        for more in ((), ("--batch", 4), ("--batch", 1000), ("--processes", 2, "--batch", 4))
    ]
    assert all(outcome.status == 0 and outcome.report["evaluated"] == 21 for outcome in outcomes)
    assert all(result(outcome) == result(outcomes[0]) for outcome in outcomes)


def test_a_cluster_s_scheduler(triovit, files, data, expected, monkeypatch):
    """Its workers run in another folder: the data set's path is made absolute."""
    monkeypatch.chdir("/")
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        memory_limit=0,
        silence_logs=logging.CRITICAL,
    ) as cluster:
        address = cluster.scheduler_address
        assert len(dict(fan_out(str, range(2), scheduler=address))) == 2
        monkeypatch.chdir(data.parent)
        outcome = triovit(
            "evaluate", files / "int8.safetensors", "--data", "images", "--scheduler", address, "--batch", 2
        )
    assert outcome.status == 0 and outcome.err == ""
    assert outcome.report["top1"]["correct"] == sum(order[0] == label for label, order in expected)


def test_an_unreachable_scheduler(refused, files, data, monkeypatch):
    monkeypatch.setattr("triovit.golden.evaluation.parallel.CONNECT_SECONDS", 0.5)
    network = files / "int8.safetensors"
    text = refused("evaluate", network, "--data", data, "--scheduler", "tcp://127.0.0.1:1")
    assert text.startswith("no Dask scheduler at tcp://127.0.0.1:1 ") and "the same command continues" in text
    assert "argument --processes: not allowed with argument --scheduler" in refused(
        "evaluate", network, "--data", data, "--scheduler", "tcp://127.0.0.1:1", "--processes", 2
    )


def interrupted_after(monkeypatch, batches):
    original, calls = BatchExecutor.logits, []

    def logits(self, pixels):
        calls.append(len(pixels))
        if len(calls) > batches:
            raise KeyboardInterrupt
        return original(self, pixels)

    monkeypatch.setattr(BatchExecutor, "logits", logits)


def test_an_interrupted_evaluation_continues(triovit, files, data, monkeypatch, tmp_path):
    network = files / "int8.safetensors"
    whole = triovit("evaluate", network, "--data", data, "--journal", "other.jsonl")
    with monkeypatch.context() as patch:
        interrupted_after(patch, 2)
        outcome = triovit("evaluate", network, "--data", data, "--batch", 5)
    assert outcome.status == 130 and outcome.report is None and outcome.out == ""
    (journal,) = (tmp_path / "build" / "evaluate").iterdir()
    kept = f"10 of 21 images are kept in {journal.relative_to(tmp_path)}, the same command continues\n"
    assert outcome.err == f"triovit evaluate: interrupted; {kept}"

    with journal.open("ab") as file:  # as when the machine goes down
        file.write(b'{"index":[10,11],"la')
    outcome = triovit("evaluate", network, "--data", data)
    assert outcome.status == 0 and outcome.report["evaluated"] == 11
    assert "continuing after 10 of 21 images" in outcome.err
    assert "; 10 more from build/evaluate/" in outcome.out
    assert result(outcome) == result(whole)

    with monkeypatch.context() as patch:
        interrupted_after(patch, 0)  # nothing is computed
        again = triovit("evaluate", network, "--data", data)
    assert again.status == 0 and result(again) == result(whole)
    assert again.report["evaluated"] == 0 and again.report["images_per_second"] is None
    assert "all from build/evaluate/" in again.out

    fresh = triovit("evaluate", network, "--data", data, "--fresh")
    assert fresh.report["evaluated"] == 21 and result(fresh) == result(whole)


def test_a_journal_of_something_else_is_refused(triovit, refused, files, data, network, monkeypatch):
    quantized, mine = files / "int8.safetensors", ("--journal", "mine.jsonl")
    assert triovit("evaluate", quantized, "--data", data, *mine).status == 0
    save_network(network.with_metadata(note="another"), "other.safetensors")
    others = {
        "network": ("other.safetensors", "--data", data),
        "images": (quantized, "--data", data, "--images", 20),
        "backend, network, mean, std": (files / "float.safetensors", "--backend", "float", "--data", data),
        "data": (quantized, "--data", make_folder(Path("more"), CLASSES, ".jpg")),
    }
    for named, words in others.items():
        text = refused("evaluate", *words, *mine)
        assert text == f"mine.jsonl: is the journal of another evaluation (it differs in {named})\n"
    monkeypatch.setattr(command, "code_hash", lambda: "changed")
    assert "(it differs in code)" in refused("evaluate", quantized, "--data", data, *mine)
    assert triovit("evaluate", quantized, "--data", data, *mine, "--fresh").report["evaluated"] == 21


def test_other_evaluations_have_other_journals(triovit, files, data):
    quantized = files / "int8.safetensors"
    for words in ((), ("--images", 20), ("--images", 19)):
        assert triovit("evaluate", quantized, "--data", data, *words).report["evaluated"] in (19, 20, 21)
    assert len(list(Path("build/evaluate").iterdir())) == 3
    assert triovit("evaluate", quantized, "--data", data, "--images", 21).report["evaluated"] == 0  # all, once more


def test_imagenet_s_layout(triovit, refused, files):
    """val/n01440764/ILSVRC2012_val_00000293.JPEG, with names that are not the network's: in sorted order."""
    names = [f"n{number:08d}" for number in (1440764, 1443537, 2, 7753592, 15075141, 4399382, 3733281)]
    folder = make_folder(Path("imagenet/val"), names, ".JPEG", count=1)
    (folder / ".DS_Store").write_text("x")
    outcome = triovit("evaluate", files / "int8.safetensors", "--data", folder)
    assert outcome.status == 0 and outcome.report["images"] == 7
    assert outcome.report["classes"] == sorted(names)
    assert [entry["name"] for entry in outcome.report["by_class"]] == sorted(names)
    assert "taken in this order, not by name" in outcome.err
    (folder / "n99999999").mkdir()
    text = refused("evaluate", files / "int8.safetensors", "--data", folder)
    assert text.startswith("--data imagenet/val: 8 classes, the network has 7 outputs, and none is called n00000002, ")


def test_classes_of_a_file(triovit, refused, files, data):
    Path("classes.txt").write_text("\n".join(reversed(CLASSES)), encoding="utf-8")
    outcome = triovit("evaluate", files / "int8.safetensors", "--data", data, "--classes", "classes.txt")
    assert outcome.report["classes"] == list(reversed(CLASSES)) and outcome.err == ""
    plain = triovit("evaluate", files / "int8.safetensors", "--data", data)
    assert outcome.report["confusions"] != plain.report["confusions"]  # other labels: other predictions are right
    Path("classes.txt").write_text("zebra\nant\n", encoding="utf-8")
    assert "classes.txt: must name the network's 7 outputs" in refused(
        "evaluate", files / "int8.safetensors", "--data", data, "--classes", "classes.txt"
    )
    assert refused("evaluate", "--data", data, "--classes", "none.txt") == "none.txt: No such file or directory\n"


def test_some_classes_only(triovit, refused, files):
    folder = make_folder(Path("some"), ("yak", "emu"), ".png")
    outcome = triovit("evaluate", files / "int8.safetensors", "--data", folder)
    assert outcome.report["images"] == 6 and [entry["class"] for entry in outcome.report["by_class"]] == [2, 6]
    make_folder(Path("some"), ("unicorn",), ".png")
    assert refused("evaluate", files / "int8.safetensors", "--data", folder) == (
        "--data some: 3 classes, the network has 7 outputs, and none is called unicorn\n"
    )


def test_evenly_spaced_images(triovit, refused, files, data, expected):
    outcome = triovit("evaluate", files / "int8.safetensors", "--data", data, "--images", 4)
    chosen = [expected[index] for index in (0, 5, 10, 15)]
    assert outcome.report["images"] == 4
    assert outcome.report["top1"]["correct"] == sum(order[0] == label for label, order in chosen)
    assert "--images must lie in 1..21 for this data set, not 22" in refused(
        "evaluate", files / "int8.safetensors", "--data", data, "--images", 22
    )


def test_broken_images(triovit, refused, files):
    folder = make_folder(Path("images"), CLASSES, ".png")
    broken = [folder / "bee" / "bee_00000001.png", folder / "cow" / "cow_00000000.png"]
    for path in broken:
        path.write_bytes(path.read_bytes()[:60])
    words = ("evaluate", files / "int8.safetensors", "--data", folder, "--batch", 2)
    text = refused(*words)
    assert text.startswith(f"{broken[0]}: ") and text.endswith("; --skip-broken passes over such images\n")
    outcome = triovit(*words, "--skip-broken")
    assert outcome.status == 0 and outcome.report["images"] == 19
    assert 0 < outcome.report["evaluated"] < 19  # the others are from before the broken one
    assert [entry["index"] for entry in outcome.report["broken"]] == [4, 6]
    assert "2 images could not be read and are not counted:" in outcome.out
    for path, entry in zip(broken, outcome.report["broken"], strict=True):
        assert entry["error"].startswith(f"{path}: ") and entry["error"] in outcome.out
    for path in folder.rglob("*.png"):
        path.write_bytes(b"x")
    assert refused(*words, "--skip-broken").startswith("none of the 21 images can be read; the first: images/ant/")


def test_confusion_picture(triovit, refused, files, data):
    words = ("evaluate", files / "int8.safetensors", "--data", data)
    outcome = triovit(*words, "--confusion", "matrix.png")
    assert outcome.status == 0 and "wrote matrix.png" in outcome.out
    with Image.open("matrix.png") as picture:
        assert picture.format == "PNG" and min(picture.size) > 800
    assert not list(Path().glob("*.partial"))
    assert refused(*words, "--confusion", "matrix.gif") == "--confusion must end in .png, not matrix.gif\n"
    assert "there is no folder" in refused(*words, "--confusion", "none/matrix.png")


@pytest.mark.filterwarnings("error")
def test_names_that_are_no_formulas(triovit, files, network):
    """Neither a formula of the file's and classes' names, nor a warning for letters that the font does not have."""
    names = ["$\\foo$", "$", "猫", "犬", "a_b", "{", "^"]
    save_network(dataclasses.replace(network, classes=tuple(names)), "x$\\foo$.safetensors")
    folder = make_folder(Path("strange"), names, ".png", count=1)
    outcome = triovit("evaluate", "x$\\foo$.safetensors", "--data", folder, "--confusion", "m.png")
    assert outcome.status == 0 and outcome.err == "" and Path("m.png").is_file()


def test_the_matrix_is_made_only_for_its_picture(triovit, files, data, monkeypatch):
    monkeypatch.setattr("triovit.flow.evaluation_report.confusion_matrix", None)
    assert triovit("evaluate", files / "int8.safetensors", "--data", data).report["confusions"]


def test_files_are_written_whoever_reads_the_listing(triovit, files, data, monkeypatch):
    def gone(text):
        raise RuntimeError("the pipe is closed")

    monkeypatch.setattr("triovit.flow.evaluation_report.show", gone)
    with pytest.raises(RuntimeError, match="the pipe is closed"):
        triovit("evaluate", files / "int8.safetensors", "--data", data, "--confusion", "m.png", "--json", "r.json")
    assert json.loads(Path("r.json").read_text(encoding="utf-8"))["images"] == 21 and Path("m.png").is_file()


def test_dask_is_imported_only_when_it_is_used():
    code = (
        "import sys, triovit.flow.cli, triovit.flow.evaluate\nprint(sorted({'dask', 'distributed'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_archive(triovit):
    """The test part of an archive, with the bundled network: its classes are the archive's."""
    stream, sizes = b"", [0]
    for index in range(6):
        file = io.BytesIO()
        Image.fromarray(np.full((32, 32, 3), 40 * index, np.uint8)).save(file, "JPEG")
        stream += file.getvalue()
        sizes.append(len(stream))
    np.savez(
        "cifar.npz",
        jpeg=np.frombuffer(stream, np.uint8),
        offset=sizes,
        label=[0, 1, 2, 3, 4, 5],
        split=[0, 1, 1, 0, 1, 1],
        classes=list(load_bundled().classes),
    )
    outcome = triovit("evaluate", "bundled", "--backend", "float", "--data", "cifar.npz")
    assert outcome.status == 0 and outcome.report["images"] == 4
    assert [entry["name"] for entry in outcome.report["by_class"]] == ["automobile", "bird", "deer", "dog"]


def test_wrong_words(refused, files, data):
    for words, message in (
        (("--data", "nowhere"), "nowhere: no such folder"),
        (("--data", "none.npz"), "none.npz: no such archive"),
        (("none.safetensors", "--data", data), "no network 'none.safetensors'"),
        ((files / "float.safetensors", "--data", data), "float checkpoint, not a quantized network"),
        ((files / "int8.safetensors", "--backend", "float", "--data", data), "quantized network, not a float"),
        (("bundled", "--data", data), "7 classes, the network has 10 outputs, and none is called ant, "),
        ((files / "int8.safetensors", "--data", data, "--journal", "."), "--journal .: is a folder"),
        ((files / "int8.safetensors", "--data", data, "--journal", "/dev/null"), "/dev/null: is no regular file"),
        (("b0-r32", "--backend", "float", "--data", data, "--resolution", 64), "b0-r32 has a resolution of 32, not 64"),
    ):
        assert message in refused("evaluate", *words), words
