"""Streams that are not UTF-8, names that are not ASCII, names of files that are no text: replaced, never an error."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys

import pytest

from triovit.golden.assets import INTEGER_NETWORK, PHOTO
from triovit.golden.integer.serialize import load_network, save_network

NAMES = ("Käse", "Brücke", "猫", "chien", "élan", "f", "g", "h", "i", "j")
NO_TEXT = os.fsdecode(b"caf\xe9")  # Latin-1
ENCODINGS = ("ascii", "utf-8:strict")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network whose classes have such names, images and folders of images with such names."""
    folder = tmp_path_factory.mktemp("names")
    network = dataclasses.replace(load_network(INTEGER_NETWORK), classes=NAMES)
    for name in ("net", NO_TEXT):
        save_network(network, folder / f"{name}.safetensors")
    for name in (*NAMES[:4], NO_TEXT):
        (folder / "data" / (name if name in NAMES else NAMES[4])).mkdir(parents=True)
        shutil.copy(PHOTO, folder / "data" / (name if name in NAMES else NAMES[4]) / f"{NO_TEXT}.png")
    for number in range(10):
        (folder / "classes" / f"{number}{NO_TEXT}").mkdir(parents=True)
        shutil.copy(PHOTO, folder / "classes" / f"{number}{NO_TEXT}" / "x.png")
    shutil.copy(PHOTO, folder / f"{NO_TEXT}.png")
    return folder


def call(folder, encoding, *words):
    """Standard output of a command that ends well, as the terminal would read it."""
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    command = [sys.executable, "-m", "triovit.flow.cli", *map(str, words)]
    done = subprocess.run(command, capture_output=True, cwd=folder, env=environment)
    assert done.returncode == 0 and b"Traceback" not in done.stderr, (words, done.stderr.decode(errors="replace"))
    return done.stdout.decode(encoding.partition(":")[0])


def test_run(folder):
    for encoding, name in (("ascii", "K?se"), ("cp1252", "Käse"), ("utf-8:strict", "Käse")):
        text = call(folder, encoding, "run", "net.safetensors", "--backend", "golden", "--top", 10, "--json", "r.json")
        assert f" {name} " in text and ("猫" in text) == encoding.startswith("utf")
        assert ("│" in text) == encoding.startswith("utf") and ("|" in text) != encoding.startswith("utf")
        written = json.loads((folder / "r.json").read_text(encoding="utf-8"))
        assert written["images"][0]["class"] in NAMES
    for name in ("data/Käse/" + NO_TEXT + ".png", NO_TEXT + ".png"):
        text = call(folder, "utf-8:strict", "run", f"{NO_TEXT}.safetensors", "--backend", "golden", "--image", name)
        assert "caf\ufffd.png: " in text


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_evaluate(folder, encoding):
    words = ("evaluate", "--fresh", "--confusion", "m.png", "--json", f"r{NO_TEXT}.json")
    text = call(folder, encoding, *words, "net.safetensors", "--data", "data")
    assert "(5 images)" in text.replace("of ", "(") or "of 5 images" in text
    text = call(folder, encoding, *words, f"{NO_TEXT}.safetensors", "--data", "classes")
    assert f"0caf{'�' if encoding.startswith('utf') else '?'} " in text
    classes = json.loads((folder / f"r{NO_TEXT}.json").read_text(encoding="utf-8"))["classes"]
    assert classes == [f"{number}{NO_TEXT}" for number in range(10)]  # the bytes of the names are kept


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_other_commands(folder, encoding):
    call(folder, encoding, "compile", f"{NO_TEXT}.safetensors", "-o", f"p{NO_TEXT}.safetensors")
    assert "RMAC_CONV" in call(folder, encoding, "disassemble", f"p{NO_TEXT}.safetensors")
    html = folder / f"r{NO_TEXT}.html"
    words = ("report", "quantization", f"{NO_TEXT}.safetensors", "--data", "classes", "--images", 1, "-o", html.name)
    call(folder, encoding, *words)
    assert "<html" in html.read_text(encoding="utf-8")
    words = ("quantize", "bundled", "--data", "classes", "--images", 1, "-o", f"q{NO_TEXT}.safetensors")
    assert "family" in call(folder, encoding, *words)


@pytest.mark.parametrize(
    "command", ["ablate", "bundle", "compare", "evaluate", "generate", "quantize", "report", "run", "train"]
)
def test_help(folder, command):
    assert command in call(folder, "ascii", command, "--help")
