"""triovit ablate."""

import json

import pytest

from triovit.golden.integer.serialize import load_network
from triovit.golden.network.checkpoint import save_checkpoint
from triovit.golden.network.efficientvit.model import EfficientViT
from triovit.golden.network.seeded import initialize
from triovit.golden.quantization.variants import VARIANTS


def test_results_and_continuing(triovit, photos, tmp_path):
    target = tmp_path / "ablation.json"
    common = ["b0-r32", "--calibration", photos, "--calibration-images", 3, "--data", photos, "-o", target]
    common += ["--classes", _names(tmp_path, photos)]
    first = triovit("ablate", *common, "--variants", "minmax")
    assert first.status == 0, first.err
    written = json.loads(target.read_text())
    assert [result["name"] for result in written["results"]] == ["float", "minmax"]
    assert written["results"][0]["agreement"] == written["results"][0]["images"] == 4
    assert first.report == written
    # A finished variant is not measured again: its (marked) result stays.
    written["results"][1]["seconds"] = 4321
    target.write_text(json.dumps(written))
    second = triovit("ablate", *common, "--variants", "minmax; trio")
    assert second.status == 0
    assert "1 of 2 variants are there already" in second.err and "4321" in second.out
    assert [result["name"] for result in second.report["results"]] == ["float", "minmax", "trio"]
    assert "trio" in second.out


def test_results_of_something_else_are_not_continued(triovit, refused, photos, tmp_path):
    target = tmp_path / "ablation.json"
    target.write_text(json.dumps({"model": "another", "results": []}))
    common = ["b0-r32", "--calibration", photos, "--data", photos, "--classes", _names(tmp_path, photos)]
    assert "holds results of another model" in refused("ablate", *common, "-o", target)
    for text in ("{}", "[]", '{"results": [{"name": "trio"}]}', '{"results": [7]}'):
        target.write_text(text)
        assert "is no result of 'triovit ablate'" in refused("ablate", *common, "-o", target)
        assert target.read_text() == text


def test_other_labels_and_normalizations_are_other_results(triovit, refused, photos, tmp_path):
    target, names, network = tmp_path / "a.json", tmp_path / "names.txt", tmp_path / "b0.safetensors"
    model = initialize(EfficientViT("b0", 3, 32), 1)
    save_checkpoint(model, network, {"resolution": "32"})
    common = ("ablate", network, "--calibration", photos, "--data", photos, "--variants", "minmax", "-o", target)
    assert triovit(*common).status == 0
    names.write_text("ship\ndog\ncat\n")
    assert "holds results of another classes; give another file" in triovit(*common, "--classes", names).err
    save_checkpoint(model, network, {"resolution": "32", "mean": "[0, 0, 0]", "std": "[1, 1, 1]"})
    assert "holds results of another mean, std; give another file" in triovit(*common).err


def test_networks_are_kept(triovit, photos, tmp_path, monkeypatch):
    """Also of variants that were measured before there was a folder for them, and by workers in other folders."""
    monkeypatch.chdir(tmp_path)
    save_checkpoint(initialize(EfficientViT("b0", 3, 32), 1), "b0.safetensors", {"resolution": "32"})
    common = (
        "ablate",
        "b0.safetensors",
        "--calibration",
        photos,
        "--data",
        photos,
        "--variants",
        "minmax; affine",
        "-o",
        "a.json",
    )
    assert triovit(*common).status == 0
    outcome = triovit(*common, "--networks", "kept")
    assert outcome.status == 0 and "are there already" not in outcome.err
    files = [tmp_path / "kept" / f"{name}.safetensors" for name in ("minmax", "affine")]
    assert all(load_network(file).metadata["method"] == file.stem for file in files)
    assert "2 of 2 variants are there already" in triovit(*common, "--networks", "kept").err
    files[0].unlink()
    assert "1 of 2 variants are there already" in triovit(*common, "--networks", "kept").err
    assert load_network(files[0]).metadata["method"] == "minmax"

    seen = []
    monkeypatch.setattr("triovit.flow.ablate.ablate", lambda experiment, *_, **__: seen.append(experiment.networks))
    files[0].unlink()
    triovit(*common, "--networks", "kept")
    assert seen == [tmp_path / "kept"]


def test_list_needs_nothing(triovit):
    outcome = triovit("ablate", "--list", report=False)
    assert outcome.status == 0
    for name in VARIANTS:
        assert name in outcome.out
    assert "migration=False" in outcome.out


@pytest.mark.parametrize(
    "arguments, text",
    [
        ([], "MODEL is missing"),
        (["bundled"], "--calibration is missing"),
        (
            ["bundled", "--calibration", "x", "--data", "y", "-o", "z.json", "--variants", "nonsense"],
            "variant must be one of",
        ),
        (["bundled", "--calibration", "x", "--data", "y", "-o", "z.json", "--variants", " ; "], "names no variant"),
        (["bundled", "--scheduler", "tcp://127.0.0.1:1", "--processes", "2"], "not allowed with argument"),
    ],
    ids=str,
)
def test_what_is_missing_is_told(refused, tmp_path, monkeypatch, arguments, text):
    monkeypatch.chdir(tmp_path)
    assert text in refused("ablate", *arguments)


def _names(folder, photos):
    """A file that names the thousand outputs of a seeded network, the photos' classes among them."""
    names = sorted(entry.name for entry in photos.iterdir() if entry.is_dir())
    file = folder / "classes.txt"
    file.write_text("\n".join([*names, *(f"class {k}" for k in range(1000 - len(names)))]))
    return file
