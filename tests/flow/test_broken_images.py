"""Images that are none, empty data sets, impossible memories: one line, status 2."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image


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
        "classes.npz": "not the network's",
        "no test.npz": "no test images",
        "nowhere.npz": "no such archive",
    }


@pytest.mark.parametrize("command", ["run --backend golden", "run --backend float", "compare"])
def test_data(refused, tmp_path, command):
    for name, said in data_sets(tmp_path).items():
        assert said in refused(*command.split(), "--data", tmp_path / name), name


def test_calibration_data(refused, tmp_path):
    cases = data_sets(tmp_path)
    for name in ("empty", "class only", "bad image", "nowhere", "noise.npz", "other.npz", "nowhere.npz"):
        said = refused("quantize", "bundled", "--data", tmp_path / name, "-o", tmp_path / "q.safetensors")
        assert cases[name] in said, name
    assert not (tmp_path / "q.safetensors").exists()


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
