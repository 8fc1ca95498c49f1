"""Images that are none, empty data sets, impossible memories: one line, status 2."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from triovit.golden.integer.serialize import load_network
from triovit.golden.quantization.methods import METHODS


def huge_png() -> bytes:
    """A small file whose header promises ten thousand million pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0")) + chunk(b"IEND", b"")


@pytest.fixture
def bad_images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "text.jpg").write_text("not an image")
    (folder / "empty.png").write_bytes(b"")
    (folder / "noise.png").write_bytes(np.random.default_rng(0).bytes(1000))
    (folder / "huge.png").write_bytes(huge_png())
    whole = folder / "cut.jpg"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (200, 300, 3), dtype=np.uint8)).save(whole)
    whole.write_bytes(whole.read_bytes()[:3000])
    (folder / "folder.jpg").mkdir()
    return [*sorted(folder.iterdir()), folder / "nowhere.jpg"]


@pytest.mark.parametrize("command", ["run --backend golden", "run --backend float", "run", "compare"])
def test_images(refused, bad_images, command):
    for path in bad_images:
        assert path.name in refused(*command.split(), "--image", path)


def test_one_pixel_is_an_image(triovit, tmp_path):
    Image.new("RGB", (1, 1), (10, 200, 30)).save(tmp_path / "one.png")
    outcome = triovit("run", "--backend", "golden", "--image", tmp_path / "one.png")
    assert outcome.status == 0 and len(outcome.report["images"][0]["logits"]) == 10


def test_brackets_in_a_name_are_nothing_special(triovit, tmp_path):
    path = tmp_path / "[bold]x[" / "red].png"
    path.parent.mkdir()
    Image.new("RGB", (9, 9)).save(path)
    outcome = triovit("run", "--backend", "golden", "--image", path)
    assert outcome.status == 0 and "[bold]x[/red].png" in outcome.out
    assert "[/red].jpg" in triovit("run", "--backend", "golden", "--image", tmp_path / "[/red].jpg").err


def data_sets(folder):
    """Unusable data: path -> what is said."""
    for name in ("empty", "class only/cat", "bad image/cat", "no class/spaceship"):
        (folder / name).mkdir(parents=True)
    (folder / "bad image" / "cat" / "x.jpg").write_text("x")
    Image.new("RGB", (9, 9)).save(folder / "no class" / "spaceship" / "x.png")
    (folder / "noise.npz").write_bytes(b"PK" + np.random.default_rng(0).bytes(200))
    np.savez(folder / "other.npz", x=np.zeros(3))
    whole = {"offset": [0, 1], "label": [0], "split": [1], "jpeg": np.zeros(1, np.uint8)}
    np.savez(folder / "classes.npz", classes=["a"], **whole)
    np.savez(folder / "no test.npz", classes=["a"], **(whole | {"split": [0]}))
    return {
        "empty": "no class folders",
        "class only": "no images",
        "bad image": "x.jpg: not an image",
        "no class": "spaceship",
        "nowhere": "no such folder",
        "noise.npz": "not a whole .npz",
        "other.npz": "arrays missing",
        "classes.npz": "1 classes, the network has 10 outputs, and none is called a",
        "no test.npz": "no test images",
        "nowhere.npz": "no such archive",
    }


@pytest.mark.parametrize("command", ["run --backend golden", "run --backend float", "compare"])
def test_data(refused, tmp_path, command):
    for name, said in data_sets(tmp_path).items():
        assert said in refused(*command.split(), "--data", tmp_path / name), name


@pytest.fixture
def calibration_refused(triovit, tmp_path):
    """Calibrating the bundled network on a path is refused in one line, which is returned, and writes nothing."""

    def call(path, *options) -> str:
        target = tmp_path / "result.safetensors"
        outcome = triovit("quantize", "bundled", "--data", path, "-o", target, *options)
        assert (outcome.status, outcome.out, outcome.report) == (2, "", None), outcome
        *before, line = outcome.err.splitlines()
        assert all(text.startswith("calibrating on ") for text in before) and len(before) <= 1, outcome.err
        assert not target.exists()
        assert line.startswith("triovit quantize: error: "), outcome.err
        return line.removeprefix("triovit quantize: error: ")

    return call


def test_calibration_data(calibration_refused, tmp_path):
    cases = data_sets(tmp_path)
    del cases["no class"], cases["classes.npz"], cases["no test.npz"]  # calibration needs no classes of the network
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "notes.txt").write_text("no image")
    (tmp_path / "documents" / "report.pdf").write_bytes(b"%PDF-1.7")
    (tmp_path / "photos.zip").write_bytes(b"PK")
    (tmp_path / "photos.rar").write_bytes(b"Rar!")
    split = {"offset": [0, 1], "label": [0], "split": [1], "jpeg": np.zeros(1, np.uint8), "classes": ["a"]}
    np.savez(tmp_path / "no train.npz", **split)
    np.savez(tmp_path / "damaged.npz", **(split | {"split": [0]}))
    cases |= {
        "empty": "no images in it",
        "documents": "no images in it",
        "photos.zip": "not a whole .zip or .tar archive",
        "photos.rar": "must be a folder of images or an archive",
        "no train.npz": "no train images",
        "damaged.npz": "image 0: not an image",
    }
    for name, said in cases.items():
        assert said in calibration_refused(tmp_path / name), name


def test_bad_images_in_calibration_data(calibration_refused, bad_images, tmp_path):
    for bad in bad_images:
        if not bad.is_file():  # folders and absent files are not in a listing of images
            continue
        folder = tmp_path / "one bad"
        folder.mkdir(exist_ok=True)
        Image.new("RGB", (9, 9)).save(folder / "good.png")
        (folder / bad.name).write_bytes(bad.read_bytes())
        assert calibration_refused(folder).startswith(f"{folder / bad.name}: ")
        (folder / bad.name).unlink()


def strange_images(folder):
    """Images of every unusual kind, in a folder without class folders: name -> image saved."""
    rng = np.random.default_rng(3)
    colours = Image.fromarray(rng.integers(0, 256, (50, 70, 3), dtype=np.uint8))
    alpha = colours.copy()
    alpha.putalpha(Image.fromarray(rng.integers(0, 256, (50, 70), dtype=np.uint8)))
    images = {
        "one pixel.png": Image.new("RGB", (1, 1), (10, 200, 30)),
        "grey.jpg": colours.convert("L"),
        "black and white.png": colours.convert("1"),
        "palette.png": colours.convert("P"),
        "alpha.png": alpha,
        "grey alpha.png": alpha.convert("LA"),
        "inks.jpg": colours.convert("CMYK"),
        "sixteen bits.png": Image.fromarray(rng.integers(0, 65536, (50, 70), dtype=np.uint16)),
        "line.png": Image.new("RGB", (5000, 1), "red"),
        "twenty megapixels.jpg": colours.resize((5200, 3900)),
    }
    folder.mkdir()
    for name, image in images.items():
        image.save(folder / name)
    colours.save(folder / "animation.gif", save_all=True, append_images=[colours.rotate(90)])
    (folder / "deeper" / "still").mkdir(parents=True)
    colours.save(folder / "deeper" / "still" / "UPPER.JPEG")
    (folder / "notes.txt").write_text("no image")
    return [*images, "animation.gif", "UPPER.JPEG"]


def test_calibration_with_strange_images(triovit, tmp_path):
    names = strange_images(tmp_path / "strange")
    target = tmp_path / "q.safetensors"
    outcome = triovit("quantize", "bundled", "--data", tmp_path / "strange", "-o", target)
    assert outcome.status == 0, outcome.err
    metadata = load_network(target).metadata
    assert metadata["calibration_images"] == len(names) == 12
    assert metadata["calibration_source"] == "folder strange"
    assert str(tmp_path) not in target.read_bytes().decode("latin-1")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("level", [0, 130])
def test_calibration_with_one_grey_only(triovit, calibration_refused, tmp_path, method, level):
    """Nothing differs from image to image: a network that still runs, or, where shifts cannot do it, one line."""
    for number in range(2):
        Image.new("L", (64, 64), level).save(tmp_path / f"{number}.png")
    target = tmp_path / "q.safetensors"
    outcome = triovit("quantize", "bundled", "--method", method, "--data", tmp_path, "-o", target)
    if "p2" in method and outcome.status != 0:
        assert "scales are too far apart" in calibration_refused(tmp_path, "--method", method)
        return
    assert outcome.status == 0, outcome.err
    logits = triovit("run", target, "--backend", "golden", "--image", tmp_path / "0.png").report["images"][0]["logits"]
    assert len(set(logits)) > 1


def test_number_of_images(refused, photos):
    command = ("run", "--backend", "golden", "--data", photos, "--images")
    assert "1..4 for this data set, not 5" in refused(*command, 5)
    for wrong in (0, -1, "x", "1.5"):
        assert "--images: must be a whole number" in refused(*command[:-1], f"--images={wrong}")
    assert refused("run", "--images", 3) == "--images goes with --data\n"
    assert "not allowed with" in refused("run", "--image", "x.png", "--data", photos)


@pytest.mark.parametrize("command", ["run", "compare"])
@pytest.mark.parametrize(
    "option, values",
    [
        ("--stalls", ["2", "1", "-0.1", "nan", "x"]),
        ("--read-latency", ["0", "-1", "1e3", "1000000000"]),
        ("--write-latency", ["0", "x"]),
        ("--bytes-per-cycle", ["0", "-3", "nan", "inf", "x"]),
        ("--stall-seed", ["-1", "x"]),
        ("--seed", ["-1", "x"]),
    ],
)
def test_impossible_memories(refused, command, option, values):
    for value in values:
        text = refused(command, f"{option}={value}")
        assert f"argument {option}: must be" in text and f"not {value}" in text


def test_number_of_classes(refused):
    for wrong in (0, -3, "x"):
        assert "argument --top: must be" in refused("run", "--backend", "golden", f"--top={wrong}")


@pytest.mark.parametrize("option", ["--images=0", "--images=-5", "--seed=-1", "--percentile=200", "--percentile=nan"])
def test_impossible_calibration(refused, tmp_path, option):
    method = ["--method", "percentile"]
    text = refused("quantize", "bundled", *method, option, "-o", tmp_path / "q.safetensors")
    assert option.split("=")[0].strip("-") in text
