"""Broken quantized networks, compiled programs and configurations: one line that names the file, status 2."""

import dataclasses
import json

import numpy as np
import pytest

from triovit.flow import float_networks, networks
from triovit.golden.assets import FLOAT_NETWORK
from triovit.hdl.config.accelerator import PRESETS


def change_header(data: bytes, change) -> bytes:
    """A safetensors file with another header: `change` works on the parsed one."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def change_structure(key: str, change):
    """For `change_header`: work on the JSON text in the metadata."""

    def apply(header):
        structure = json.loads(header["__metadata__"][key])
        header["__metadata__"][key] = json.dumps(change(structure) or structure)

    return apply


def change_text(key: str, change):
    """For `change_header`: work on the JSON as a text."""
    return lambda header: header["__metadata__"].update({key: change(header["__metadata__"][key])})


def damaged(data: bytes, key: str):
    """name -> contents of files that are no longer what they were."""
    noise = bytearray(data)
    start = 8 + int.from_bytes(data[:8], "little")
    noise[start::97] = bytes(byte ^ 0x55 for byte in noise[start::97])
    cases = {f"cut at {length}": data[:length] for length in (0, 7, 100, len(data) // 2, len(data) - 1)}
    cases["noise"] = np.random.default_rng(0).bytes(2000)
    cases["text"] = b"hello"
    cases["changed bytes"] = bytes(noise)
    cases["format"] = change_header(data, lambda h: h["__metadata__"].update(format="something"))
    cases["version"] = change_header(data, lambda h: h["__metadata__"].update(version="99"))
    cases["no metadata"] = change_header(data, lambda h: h.pop("__metadata__"))
    cases["half the JSON"] = change_header(data, change_text(key, lambda text: text[:500]))
    cases["a list"] = change_header(data, change_structure(key, lambda s: [1, 2]))
    cases["nested"] = change_header(data, change_text(key, lambda text: "[" * 100_000))
    for name in json.loads(json.loads(data[8:start])["__metadata__"][key]):
        without = change_structure(key, lambda s, name=name: {k: s[k] for k in s if k != name})
        cases[f"without {name}"] = change_header(data, without)
    return cases


def test_quantized_networks(refused, small_file, tmp_path):
    path, target = tmp_path / "broken.safetensors", tmp_path / "program.safetensors"
    data = small_file.read_bytes()
    cases = damaged(data, "network")

    def node(change):
        return change_header(data, change_structure("network", lambda s: change(s["nodes"][1])))

    cases |= {
        "no post": node(lambda n: n.pop("post")),
        "stride 0": node(lambda n: n.update(stride=0)),
        "stride x": node(lambda n: n.update(stride="x")),
        "unknown type": node(lambda n: n.update(type="Transformer")),
        "unknown input": node(lambda n: n.update(input="nowhere")),
        "input shape": change_header(data, change_structure("network", lambda s: s.update(input_shape=[3, 64]))),
        "metadata": change_header(data, change_structure("network", lambda s: s.update(metadata=[]))),
        "scale": change_header(data, change_structure("network", lambda s: s.update(metadata={"logit_scale": "1"}))),
        "mean": change_header(data, change_structure("network", lambda s: s.update(metadata={"mean": "x"}))),
        "classes": change_header(data, change_structure("network", lambda s: s.update(classes=[1, 2]))),
    }
    for name, content in cases.items():
        path.write_bytes(content)
        text = refused("compile", path, "--config", "trio-tiny", "-o", target)
        assert name == "nested" or path.name in text, name
        assert not target.exists()
    assert len(cases) > 20
    for command in (("run", "--backend", "golden"), ("run",), ("compare",)):
        refused(command[0], path, *command[1:])


def test_another_kind_of_file_says_what_to_do(refused, small_file):
    assert "triovit quantize" in refused("compile", FLOAT_NETWORK)
    assert "triovit compile" in refused("disassemble", small_file)
    assert "b1-r224" in refused("compile", "nothing")
    assert "triovit compile" in refused("disassemble", "nothing")


def test_programs(refused, triovit, small_file, tmp_path):
    good, path = tmp_path / "good.safetensors", tmp_path / "broken.safetensors"
    assert triovit("compile", small_file, "--config", "trio-tiny", "-o", good).status == 0
    data = good.read_bytes()
    cases = damaged(data, "program")
    del cases["changed bytes"]  # of the constants as well, which no reader can know
    another = change_structure("program", lambda s: s["config"].update(cores=2))
    cases["another configuration"] = change_header(data, another)
    cases["impossible configuration"] = change_header(
        data, change_structure("program", lambda s: s["config"].update(cores=0))
    )
    cases["no layers"] = change_header(data, change_structure("program", lambda s: s.update(layers=[])))
    start = 8 + int.from_bytes(data[:8], "little")
    begin = start + json.loads(data[8:start])["program"]["data_offsets"][0]
    cases["unknown opcode"] = data[: begin + 64] + b"\xff" * 64 + data[begin + 128 :]
    for name, content in cases.items():
        path.write_bytes(content)
        text = refused("disassemble", path)
        assert name == "nested" or path.name in text, (name, text)
        if name == "another configuration":
            assert "hash" in text


@pytest.mark.parametrize(
    "text, said",
    [
        ('{"cores": 0}', "cores must be at least 1, not 0"),
        (
            '{"block": 5, "data_bytes": 3}',
            "block must be 4, 8 or 16, not 5; data_bytes must be a power of two in 5..25 for block 5, not 3",
        ),
        ('{"coores": 2}', "unknown field coores"),
        ('{"cores": "two"}', "cores must be an integer, at least 1, not 'two'"),
        ('{"cores": true}', "cores must be an integer, at least 1, not True"),
        ('{"cores": ', "not JSON"),
        ("[]", "must be a JSON object"),
        ("", "not JSON"),
        ('{"name": 5}', "name must be"),
        ('{"name": "../../elsewhere"}', "name must be"),
        ("[" * 100_000, "not JSON: maximum recursion"),
        ('{"cores": ' + "1" * 5000 + "}", "4300 digits"),
    ],
)
@pytest.mark.parametrize("command", ["generate", "compile", "run"])
def test_configurations(refused, tmp_path, text, said, command):
    path = tmp_path / "own.json"
    path.write_text(text)
    target = tmp_path / "target"
    outputs = [] if command == "run" else ["-o", target]
    line = refused(command, "--config", path, *outputs)
    assert said in line and "own.json" in line
    assert not target.exists()


def test_configurations_that_are_no_files(refused, tmp_path):
    for command in ("compile", "run", "compare"):
        assert "trio-core, trio-zcu102, trio-zcu104, trio-tiny" in refused(command, "--config", "huge")
        assert "none.json" in refused(command, "--config", tmp_path / "none.json")
        refused(command, "--config", tmp_path)
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    assert "binary.json" in refused("compile", "--config", tmp_path / "binary.json")


def test_network_that_does_not_fit(refused, tmp_path):
    target, config = tmp_path / "program.safetensors", tmp_path / "small.json"
    config.write_text(json.dumps(dataclasses.asdict(PRESETS["trio-tiny"]) | {"parameter_bytes": 8192}))
    text = refused("compile", "bundled", "--config", config, "-o", target)
    assert text == (
        "head.op_list.2.norm: needs 5120 words of buffer P, which has 2048; a configuration with parameter_bytes 20480 "
        "has room\n"
    )
    assert not target.exists()
    assert refused("run", "--config", config) == refused("compare", "--config", config) == text


def test_missing_bundled_networks(refused, monkeypatch, tmp_path):
    monkeypatch.setattr(networks, "INTEGER_NETWORK", tmp_path / "int8.safetensors")
    monkeypatch.setattr(float_networks, "FLOAT_NETWORK", tmp_path / "float.safetensors")
    for command in (("compile",), ("run",), ("compare",), ("run", "--backend", "golden")):
        assert f"missing from this installation: {tmp_path}/int8" in refused(*command)
    assert f"missing from this installation: {tmp_path}/float" in refused("run", "--backend", "float")


def test_outputs_that_are_other_arguments_files(refused, small_file, photos, tmp_path):
    model, names = tmp_path / "float.safetensors", tmp_path / "names.txt"
    model.write_bytes(FLOAT_NETWORK.read_bytes())
    names.write_text("\n".join("abcdefghij"))
    journal, link = tmp_path / "j.jsonl", tmp_path / "link.safetensors"
    link.symlink_to(model)
    new = tmp_path / "new"
    for words in (
        ("quantize", model, "-o", model),
        ("quantize", model, "-o", tmp_path / "." / ".." / tmp_path.name / model.name),
        ("quantize", model, "-o", link),
        ("quantize", model, "-o", new, "--json", new),
        ("quantize", model, "--classes", names, "-o", names),
        ("evaluate", model, "--data", photos, "--journal", journal, "--json", journal),
        ("evaluate", model, "--data", photos, "--json", model),
        ("compile", model, "-o", model),
        ("run", model, "--image", photos / "cat" / "a.png", "--json", photos / "cat" / "a.png"),
        ("report", "quantization", model, "--model", small_file, "--accuracy", journal, names, "-o", names),
        ("ablate", model, "--calibration", photos, "--data", photos, "-o", model),
    ):
        before = {path: path.read_bytes() for path in tmp_path.iterdir()}
        assert "another argument names this file too" in refused(*words), words
        assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}


@pytest.mark.parametrize("command", [("compile", "bundled"), ("quantize", "b0-r32")])
def test_outputs_that_cannot_be(refused, tmp_path, command):
    for target, fault in (
        (tmp_path / "none" / "x.safetensors", "there is no folder"),
        (tmp_path, "is a folder"),
        ("/dev/null", "is no regular file"),
    ):
        assert fault in refused(*command, "-o", target)
    assert not list(tmp_path.rglob("*.safetensors*"))
