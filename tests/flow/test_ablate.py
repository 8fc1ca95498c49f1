"""triovit ablate."""

import json

import pytest

from golden.quantization.variants import VARIANTS


def test_results_and_continuing(triovit, photos, tmp_path):
    target = tmp_path / "ablation.json"
    common = ["b0-r32", "--calibration", photos, "--calibration-images", 3, "--data", photos, "-o", target]
    common += ["--classes", _names(tmp_path, photos)]
    first = triovit("ablate", *common, "--variants", "minmax")
    assert first.status == 0, first.err
    written = json.loads(target.read_text())
    assert [result["name"] for result in written["results"]] == ["float", "minmax"]
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
    target.write_text("{}")
    assert "is no result of 'triovit ablate'" in refused("ablate", *common, "-o", target)
    assert target.read_text() == "{}"


def test_list_needs_nothing(triovit):
    outcome = triovit("ablate", "--list", report=False)
    assert outcome.status == 0
    for name in VARIANTS:
        assert name in outcome.out
    assert "migration=False" in outcome.out


@pytest.mark.parametrize("arguments, text", [
    ([], "MODEL is missing"),
    (["bundled"], "--calibration is missing"),
    (["bundled", "--calibration", "x", "--data", "y", "-o", "z.json", "--variants", "nonsense"],
     "variant must be one of"),
], ids=str)
def test_what_is_missing_is_told(refused, tmp_path, monkeypatch, arguments, text):
    monkeypatch.chdir(tmp_path)
    assert text in refused("ablate", *arguments)


def _names(folder, photos):
    """A file that names the thousand outputs of a seeded network, the photos' classes among them."""
    names = sorted(entry.name for entry in photos.iterdir() if entry.is_dir())
    file = folder / "classes.txt"
    file.write_text("\n".join([*names, *(f"class {k}" for k in range(1000 - len(names)))]))
    return file
