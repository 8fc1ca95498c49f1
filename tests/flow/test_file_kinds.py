"""Files of another kind than belongs there: one line says what they are and what to do."""

import errno
import json
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from triovit.flow.file_kinds import CHECKPOINT, NETWORK, PROGRAM, kind_of
from triovit.golden.assets import FLOAT_NETWORK


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file of every kind that is no network of this project, by name."""
    folder = tmp_path_factory.mktemp("files")
    torch.save({"conv.weight": torch.zeros(3)}, folder / "float.pt")
    torch.save({"conv.weight": torch.zeros(3)}, folder / "old.pth", _use_new_zipfile_serialization=False)
    save_file({"conv.weight": torch.zeros(3)}, folder / "hub.safetensors", metadata={"format": "pt"})
    np.savez(folder / "cifar.npz", a=np.zeros(3))
    (folder / "own.json").write_text(json.dumps({"cores": 2}))
    Image.new("RGB", (8, 8)).save(folder / "photo.png")
    (folder / "dir.safetensors").mkdir()
    with tarfile.open(folder / "net.tar.gz", "w:gz") as archive:
        archive.add(folder / "own.json", "own.json")
    (folder / "net.onnx").write_bytes(b"\x08\x07")
    return folder


@pytest.fixture(scope="module")
def program(files, small_file):
    from triovit.flow.cli import main

    path = files / "small.program.safetensors"
    assert main(["compile", str(small_file), "--config", "trio-tiny", "-o", str(path)]) == 0
    return path


KINDS = {
    "float.pt": CHECKPOINT,
    "old.pth": CHECKPOINT,
    "hub.safetensors": CHECKPOINT,
    "cifar.npz": "data set or archive of arrays (.npz)",
    "own.json": "JSON file",
    "photo.png": "image",
    "dir.safetensors": "folder",
    "net.tar.gz": "packed archive",
    "net.onnx": "network in ONNX",
}


def told(path):
    kind = KINDS[path.name]
    return f"{path} is {'an' if kind == 'image' else 'a'} {kind}"


@pytest.mark.parametrize("name", KINDS)
def test_kinds(files, name):
    assert kind_of(files / name) == KINDS[name]


def test_kinds_of_the_project_s_own_files(files, small_file, program):
    assert (kind_of(small_file), kind_of(program), kind_of(FLOAT_NETWORK)) == (NETWORK, PROGRAM, CHECKPOINT)
    (files / "text.txt").write_text("hello")
    assert kind_of(files / "text.txt") is kind_of(files / "nothing") is None


@pytest.mark.parametrize("name", KINDS)
def test_in_the_place_of_a_quantized_network(refused, files, tmp_path, name):
    path = files / name
    for command in (("compile", path), ("run", path), ("compare", path), ("run", path, "--backend", "golden")):
        text = refused(*command)
        assert text.startswith(f"{told(path)}, not a quantized network: ") and "triovit quantize" in text
        assert (f"triovit quantize {path} --data" in text) == (KINDS[name] == CHECKPOINT)
    assert told(path) in refused("evaluate", path, "--data", files)
    assert told(path) in refused("report", "quantization", path, "-o", tmp_path / "r.html")


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind != CHECKPOINT])
def test_in_the_place_of_a_float_network(refused, files, tmp_path, name):
    path = files / name
    said = f"{told(path)}, not a float checkpoint: give a .pt, .pth, .bin or .safetensors file"
    assert refused("quantize", path, "--data", files, "-o", tmp_path / "q.safetensors").startswith(said)
    assert refused("run", path, "--backend", "float").startswith(said)


def test_networks_and_programs_for_each_other(refused, files, small_file, program, tmp_path):
    words = ("-o", tmp_path / "q.safetensors")
    assert refused("quantize", small_file, *words) == (
        f"{small_file} is a quantized network, not a float checkpoint: give the checkpoint that it was quantized from "
        "(of 'run' and 'evaluate', drop --backend float)\n"
    )
    assert "is a compiled program, not a float checkpoint: give the checkpoint" in refused("quantize", program, *words)
    assert "compiled program, not a quantized network: give the quantized network that" in refused("run", program)
    assert f"triovit compile {small_file} -o PROGRAM" in refused("disassemble", small_file)
    assert "then compile that with 'triovit compile'" in refused("disassemble", files / "float.pt")
    for name in ("photo.png", "cifar.npz", "dir.safetensors"):
        text = refused("disassemble", files / name)
        assert text.startswith(f"{told(files / name)}, not a compiled program: make one with 'triovit compile'")


@pytest.mark.parametrize("name", ["b1", "B1", "b1-224", "b1_r224", "efficientvit-b1", "efficientvit_b1-r224"])
@pytest.mark.parametrize("command", [("compile",), ("run", "--backend", "float"), ("quantize", "-o", "q")])
def test_presets_without_a_resolution(refused, command, name):
    text = refused(command[0], name, *command[1:])
    assert text == f"no network {name!r}: seeded random weights have a resolution in their name, such as b1-r224\n"


@pytest.mark.parametrize("command", ["compile", "quantize", "json"])
def test_a_full_disk(triovit, small_file, tmp_path, monkeypatch, command):
    """What is being written is named, the old file stays, and nothing is left beside it."""

    def full(path, *_arguments, **_options):
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    target, words = tmp_path / "target", ("compile", small_file, "--config", "trio-tiny")
    target.write_text("old")
    words = {
        "compile": (*words, "-o", target),
        "quantize": ("quantize", "b0-r32", "--images", 1, "-o", target),
        "json": (*words, "--json", target),
    }[command]
    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    monkeypatch.setattr("pathlib.Path.write_text", full)
    outcome = triovit(*words)
    assert outcome.status == 2 and outcome.err.endswith(f"error: {target}: No space left on device\n")
    assert target.read_bytes() == b"old" and list(tmp_path.iterdir()) == [target]


def test_names_of_nothing_that_is_there(refused, files):
    assert "'~' stands for a home folder only where the shell expands it" in refused("compile", "~/net.safetensors")
    assert "'~' stands" in refused("run", "~/net.pt", "--backend", "float")
    path = files / "float.safetensors"
    assert refused("compile", path) == f"no file '{path}', but there is float.pt in its folder\n"
    assert refused("run", files / "hub.pt", "--backend", "float").endswith("hub.safetensors in its folder\n")
    assert "b1-r224" in refused("compile", "nothing")
    assert "no such checkpoint file" in refused("run", files / "absent.pt", "--backend", "float")
