"""What people bring by mistake, to every command that takes it: one line that names it, status 2, nothing left behind.

ROWS is the table: of each kind of argument, the mistakes, how each is made, and what the line has to say.
"""

from __future__ import annotations

import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.flow.test_broken_files import change_header, change_structure
from tests.networks import small_network
from triovit.compiler.compile import compile_network
from triovit.golden.assets import FLOAT_NETWORK
from triovit.golden.integer.serialize import save_network
from triovit.hdl.config.accelerator import PRESETS

# Kind of argument -> command lines that take it. {} is the argument, OUT a file that must not appear.
LINES = {
    "quantized": [
        "run {}",
        "run {} --backend golden",
        "compile {} -o OUT",
        "evaluate {} --data PHOTOS",
        "compare {}",
        "report quantization {} -o OUT",
    ],
    "float": [
        "quantize {} --data PHOTOS -o OUT",
        "run {} --backend float",
        "evaluate {} --backend float --data PHOTOS",
    ],
    "data": [
        "quantize bundled --data {} -o OUT",
        "run --backend golden --data {}",
        "evaluate bundled --data {}",
        "compare --data {}",
        "report quantization bundled --data {} -o OUT",
    ],
    "image": ["run --backend golden --image {}", "run --image {}", "compare --image {}"],
    "config": [
        "generate --config {} -o OUT",
        "compile SMALL --config {} -o OUT",
        "run SMALL --config {}",
        "compare SMALL --config {}",
    ],
    "target": [
        "quantize b0-r32 --images 1 -o {}",
        "compile SMALL -o {}",
        "report quantization bundled -o {}",
        "run --backend golden --json {}",
        "evaluate bundled --data PHOTOS --json {}",
        "compare --json {}",
        "generate -o OUT --json {}",
    ],
}
BIAS = "head.op_list.3.linear.bias"
Maker = Callable[[Path], "str | Path"]  # from a folder of the test's own: the argument


def file(name: str, content: bytes | str) -> Maker:
    return made(name, lambda path: path.write_bytes(content.encode() if isinstance(content, str) else content))


def made(name: str, write: Callable[[Path], object]) -> Maker:
    def make(folder: Path) -> Path:
        write(folder / name)
        return folder / name

    return make


def words(text: str) -> Maker:
    return lambda folder: text.replace("FOLDER", str(folder))


def folder_with(name: str, *files: str) -> Maker:
    """A folder with files: images where the name says so, else texts."""

    def make(folder: Path) -> Path:
        (folder / name).mkdir()
        for path in (folder / name / inner for inner in files):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".png":
                picture(path)
            else:
                path.write_text("x")
        return folder / name

    return make


def picture(path: Path) -> None:
    Image.effect_noise((99, 99), 50).save(path)


def half_a_picture(path: Path) -> None:
    picture(path)
    path.write_bytes(path.read_bytes()[:900])


def config(**values) -> Maker:
    return file("machine.json", json.dumps(values))


def network(name: str, change: Callable[[bytes], bytes] = bytes) -> Maker:
    """A small quantized network, its file changed."""

    def write(path: Path) -> None:
        save_network(small_network(4, size=20), path)
        path.write_bytes(change(path.read_bytes()))

    return made(name, write)


def edited(change: Callable[[dict], object]) -> Maker:
    """A small quantized network with a changed structure."""
    return network("edited.safetensors", lambda data: change_header(data, change_structure("network", change)))


def layer(**values) -> Maker:
    return edited(lambda structure: structure["nodes"][1].update(values))


def headed(**metadata: str) -> Maker:
    """A small quantized network with other metadata of its file."""

    def change(data: bytes) -> bytes:
        return change_header(data, lambda header: header["__metadata__"].update(metadata))

    return network("headed.safetensors", change)


def program(path: Path) -> None:
    compile_network(small_network(4, size=20), PRESETS["trio-tiny"]).save(path)


def packed(path: Path) -> None:
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("weights.txt"))


def zipped(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "x")


def saved(name: str, change: Callable[[dict], object]) -> Maker:
    """A torch file of the float network's tensors, changed."""
    return made(name, lambda path: torch.save(change(load_file(FLOAT_NETWORK)), path))


def every_second(prefix: str, state: dict) -> dict:
    return {(prefix + key if number % 2 else key): value for number, (key, value) in enumerate(state.items())}


def arrays(path: Path) -> None:
    np.savez(path, x=np.zeros(3))


NOISE = np.random.default_rng(0).bytes(2000)
NETWORKS: dict[str, tuple[Maker, tuple[str, ...]]] = {  # that are neither quantized nor float
    "missing": (words("FOLDER/nowhere.safetensors"), ("no ",)),
    "a folder": (made("net.safetensors", Path.mkdir), ("is a folder",)),
    "empty": (file("empty.safetensors", b""), ("not a whole safetensors file",)),
    "noise": (file("noise.safetensors", NOISE), ("not a whole safetensors file",)),
    "text": (file("text.safetensors", "hello"), ("not a whole safetensors file",)),
    "a program": (made("a.program.safetensors", program), ("is a compiled program",)),
    "a data file": (made("data.npz", arrays), ("(.npz), not a",)),
    "an image": (made("photo.png", picture), ("is an image, not a",)),
    "ONNX": (file("net.onnx", b"\x08\x07"), ("in ONNX, not a",)),
    "a packed archive": (made("weights.tar.gz", packed), ("is a packed archive, not a",)),
    "unknown preset": (words("b9-r224"), ()),
    "preset alone": (words("b1"), ("b1-r224",)),
    "resolution": (words("b0-r100"), ()),
    "dangling link": (made("link.safetensors", lambda path: path.symlink_to("nowhere")), ("no ",)),
    "nothing": (words(""), ("must not be empty",)),
    "a configuration": (words("trio-core"), ("no ",)),
}
ROWS = {
    "quantized": NETWORKS
    | {
        "float weights": (words(str(FLOAT_NETWORK)), ("is a float checkpoint", "triovit quantize")),
        "a torch file": (saved("net.pth", dict), ("is a float checkpoint", "triovit quantize")),
        "cut": (network("cut.safetensors", lambda data: data[:-100]), ("not a whole", "copy it again")),
        "another format": (headed(format="x"), ("format 'x'", "triovit quantize")),
        "a newer version": (headed(version="99"), ("'99'", "reads 1 and 2")),
        "unknown layer": (layer(type="Transformer"), ("unknown node type 'Transformer'",)),
        "unknown input": (layer(input="nowhere"), ("nowhere is not computed before",)),
        "stride 0": (layer(stride=0), ("stride must be 1 or 2, not 0",)),
        "classes": (edited(lambda s: s.update(classes=["a"])), ("must name all 10 outputs, not 1",)),
        "mean": (edited(lambda s: s.update(metadata={"mean": "x"})), ("mean must be three numbers",)),
    },
    "float": NETWORKS
    | {
        "a quantized network": (network("int8.safetensors"), ("is a quantized network",)),
        "two sets of weights": (
            saved("ema.pth", lambda s: {"state_dict": s, "state_dict_ema": s}),
            ("2 sets of weights", "--weights state_dict_ema"),
        ),
        "some names with a prefix": (saved("mixed.pth", lambda s: every_second("model.", s)), ("model.",)),
        "a key too few": (saved("few.pth", lambda s: {k: s[k] for k in s if k != BIAS}), (f"missing: {BIAS}",)),
        "a key too many": (saved("many.pth", lambda s: s | {"more": torch.zeros(3)}), ("unexpected: more",)),
        "a shape": (saved("shape.pth", lambda s: s | {BIAS: torch.zeros(11)}), (f"{BIAS} has shape 11, not 10",)),
        "no number": (saved("nan.pth", lambda s: s | {BIAS: torch.full((10,), torch.nan)}), (BIAS, "finite")),
        "integers": (saved("int.pth", lambda s: s | {BIAS: torch.zeros(10, dtype=torch.int8)}), (BIAS,)),
        "another network": (saved("resnet.pth", lambda s: {"fc.weight": torch.zeros(10, 4)}), ("'fc.weight'",)),
        "no tensors": (saved("epoch.pth", lambda s: {"epoch": 3}), ("epoch",)),
        "an object": (saved("object.pth", lambda s: s | {"options": Path("x")}), ("model.state_dict()",)),
    },
    "data": {
        "missing": (words("FOLDER/nowhere"), ("no such folder",)),
        "missing archive": (words("FOLDER/nowhere.npz"), ("no such archive",)),
        "an empty folder": (folder_with("empty"), ("no ",)),
        "no images": (folder_with("documents", "notes.txt", "a/notes.txt"), ("no images",)),
        "a bad image": (folder_with("bad", "cat/a.png", "cat/b.jpg"), ("b.jpg: not an image", "--skip-broken")),
        "noise": (file("noise.npz", b"PK" + NOISE), ("it is damaged",)),
        "other arrays": (made("other.npz", arrays), ("arrays missing", "triovit data")),
        "one array": (made("one.npy", lambda path: np.save(path, np.zeros(3))), ("one NumPy array",)),
        "a table": (file("data.csv", "a,b\n1,2\n"), ("must be a folder of images or an archive",)),
        "HDF5": (file("data.h5", b"\x89HDF\r\n\x1a\n"), ("is HDF5",)),
        "Parquet": (file("data.parquet", b"PAR1"), ("is Parquet",)),
        "RAR": (file("photos.rar", b"Rar!"), ("unpack it first",)),
        "half a zip": (file("photos.zip", b"PK\x03\x04"), ("not a whole .zip",)),
        "a zip without images": (made("documents.zip", zipped), ("no images in it",)),
        "one image": (made("photo.png", picture), ("--image",)),
        "a network": (words(str(FLOAT_NETWORK)), ("must be a folder of images or an archive",)),
    },
    "image": {
        "missing": (words("FOLDER/nowhere.jpg"), ("no such image file",)),
        "text": (file("text.jpg", "hello"), ("not an image",)),
        "empty": (file("empty.png", b""), ("not an image",)),
        "half": (made("cut.png", half_a_picture), ("cut.png: ",)),
        "a network": (words(str(FLOAT_NETWORK)), ("image",)),
        "a vector graphic": (file("x.svg", "<svg/>"), ("not an image",)),
    },
    "config": {
        "unknown": (words("trio-large"), ("presets: trio-core",)),
        "missing": (words("FOLDER/nowhere.json"), ("No such file",)),
        "a folder": (made("machine.json", Path.mkdir), ("Is a directory",)),
        "empty": (file("machine.json", ""), ("not JSON",)),
        "half": (file("machine.json", '{"cores": 2'), ("not JSON",)),
        "a list": (file("machine.json", "[1, 2]"), ("must be a JSON object, not list",)),
        "nested": (file("machine.json", "[" * 100_000), ("not JSON",)),
        "no text": (file("machine.json", b"\xff\xfe\x00"), ("no text in UTF-8",)),
        "unknown field": (config(core=2), ("unknown field core; known: ", "cores")),
        "no cores": (config(cores=0), ("cores must be at least 1, not 0",)),
        "too many cores": (config(cores=65), ("cores must be 1..64, not 65",)),
        "a block of 5": (config(block=5), ("block must be 4, 8 or 16, not 5",)),
        "a text": (config(cores="two"), ("cores must be an integer", "'two'")),
        "a fraction": (config(cores=1.5), ("cores must be an integer", "1.5")),
        "null": (config(cores=None), ("cores must be an integer",)),
        "part of a row": (config(feature_bytes=100_000), ("feature_bytes must be a multiple of 64", "100000")),
        "beyond an instruction": (config(attention_bytes=65536), ("attention_bytes", "1024..32768", "65536")),
        "a beat too wide": (config(data_bytes=256), ("data_bytes", "8..64 for block 8", "256")),
        "bursts across pages": (config(burst_beats=256, data_bytes=64), ("burst_beats", "4096")),
        "a path as name": (config(name="../x"), ("name must be", "'../x'")),
        "a network": (words(str(FLOAT_NETWORK)), ("no text in UTF-8",)),
    },
    "target": {
        "no folder": (words("FOLDER/nowhere/x.out"), ("there is no folder",)),
        "under a file": (lambda folder: Path(file("plain", "x")(folder)) / "x.out", ("no folder",)),
        "a folder": (made("x.out", Path.mkdir), ("is a folder",)),
        "nothing": (words(""), ("must not be empty",)),
    },
}
WORDS = {  # whole lines
    "quantize": ("MODEL", "--output"),
    "quantize b0-r32": ("--output",),
    "quantize bundled -o FOLDER/x.safetensors": ("--data",),
    "quantize b0-r32 --percentile 99 -o FOLDER/x.safetensors": (
        "percentile has no effect without observer percentile",
    ),
    "quantize b0-r32 --momentum 0.5 -o FOLDER/x.safetensors": ("momentum has no effect",),
    "quantize b0-r32 --images 0 -o FOLDER/x.safetensors": ("--images", "not 0"),
    "quantize b0-r32 --method best -o FOLDER/x.safetensors": ("--method", "'best'", "'trio'"),
    "quantize bundled --resolution 65 -o FOLDER/x.safetensors": ("--resolution", "multiple of 32", "65"),
    "quantize bundled --mean 1,2 -o FOLDER/x.safetensors": ("--mean", "three numbers"),
    "quantize bundled --crop 0 -o FOLDER/x.safetensors": ("--crop",),
    "run --image a.png --data b": ("--image", "--data"),
    "run --images 3": ("--images", "--data"),
    "run --backend fpga": ("--backend", "'fpga'", "'rtl'"),
    "run --stalls 1": ("--stalls", "less than 1"),
    "run --resolution 64": ("--resolution", "--backend float"),
    "run --mean 0,0,0": ("--mean", "--backend float"),
    "compare --read-latency 0": ("--read-latency", "not 0"),
    "compare --bytes-per-cycle nan": ("--bytes-per-cycle", "nan"),
    "compile bundled --fast": ("--fast",),
    "evaluate bundled": ("--data",),
    "report": ("KIND", "NETWORK"),
    "report everything bundled -o FOLDER/x.html": ("'everything'", "'quantization'"),
    "generate": ("--output",),
    "generate -o FOLDER/x --synthesize altera": ("'altera'", "'xcup'"),
    "generate -o FOLDER/x --prefix 3cores": ("--prefix", "3cores"),
    "generate -o FOLDER/x --prefix module": ("--prefix", "module"),
    "simulate": ("'simulate'", "'compare'"),
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder, the current one; builds would go beside it."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TRIOVIT_BUILD", str(tmp_path / "build"))
    return folder


@pytest.fixture
def wrong(triovit, here, small_file, photos):
    """wrong("data", make, says): the mistake is made to every command, and told as it should be."""
    places = {"SMALL": str(small_file), "PHOTOS": str(photos), "OUT": str(here / "out")}

    def check(kind: str, make: Maker, says: tuple[str, ...]) -> None:
        argument = str(make(here))
        before = sorted(here.rglob("*"))
        for line in LINES[kind]:
            command, *rest = (argument if word == "{}" else places.get(word, word) for word in line.split())
            outcome = triovit(command, *rest, report=False)
            assert (outcome.status, outcome.out) == (2, ""), (line, outcome)
            *info, error = outcome.err.splitlines()
            assert error.startswith(f"triovit {command}: error: "), (line, error)
            assert all(text.startswith("calibrating on ") for text in info), (line, info)  # images are read on the way
            for text in (Path(argument).name.removesuffix("-r224"), *says):
                assert text in error, (line, text, error)
            assert sorted(here.rglob("*")) == before, line
            built = [path for path in (here.parent / "build").rglob("*") if path.is_file()]
            assert all(path.suffix == ".jsonl" for path in built), line  # journal, from which an evaluation goes on

    return check


def rows(kind: str):
    return pytest.mark.parametrize(("make", "says"), [pytest.param(*row, id=name) for name, row in ROWS[kind].items()])


@rows("quantized")
def test_where_a_quantized_network_belongs(wrong, make, says):
    wrong("quantized", make, says)


@rows("float")
def test_where_a_float_network_belongs(wrong, make, says):
    wrong("float", make, says)


@rows("data")
def test_where_a_data_set_belongs(wrong, make, says):
    wrong("data", make, says)


@rows("image")
def test_where_an_image_belongs(wrong, make, says):
    wrong("image", make, says)


@rows("config")
def test_where_a_configuration_belongs(wrong, make, says):
    wrong("config", make, says)


@rows("target")
def test_where_a_file_to_write_belongs(wrong, make, says):
    wrong("target", make, says)


@pytest.mark.parametrize("line", WORDS)
def test_wrong_words(triovit, here, line):
    outcome = triovit(*line.replace("FOLDER", str(here)).split(), report=False)
    assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, "", 1), outcome
    assert all(text in outcome.err for text in WORDS[line]), outcome.err
    assert not list(here.iterdir())


def test_the_table_covers_the_commands():
    """60 mistakes at least, and among their lines every command that people begin with."""
    assert sum(map(len, ROWS.values())) + len(WORDS) >= 60
    commands = {line.split()[0] for lines in LINES.values() for line in lines}
    assert commands == {"quantize", "run", "compile", "evaluate", "compare", "generate", "report"}
