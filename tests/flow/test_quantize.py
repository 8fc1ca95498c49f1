"""triovit quantize."""

import pytest
from safetensors.torch import load_file, save_file

from flow.sources import BUNDLED_NETWORK
from golden.integer.serialize import load_network
from golden.network.bundled import BUNDLED_PATH


def test_checkpoint_with_images_of_a_folder(triovit, photos, tmp_path):
    target = tmp_path / "b0.safetensors"
    outcome = triovit("quantize", BUNDLED_PATH, "--resolution", 64, "--data", photos, "--images", 3, "-o", target)
    assert outcome.status == 0
    network = load_network(target)
    assert network.input_shape == (3, 64, 64) and network.shapes()[network.output] == (10, 1, 1)
    assert network.classes == ()  # the folder has three, the network ten
    assert outcome.report["layers"] == len(network.nodes)
    assert outcome.report["metadata"]["calibration_images"] == network.metadata["calibration_images"] == 3
    assert "calibrating on 3 of 4 images" in outcome.err
    assert f"{len(network.nodes)} layers" in outcome.out
    assert f"widest accumulator {max(a['bits'] for a in outcome.report['accumulators'])} of 32 bits" in outcome.out
    for bound in outcome.report["accumulators"]:  # the table has every accumulation
        row = next(line for line in outcome.out.splitlines() if bound["layer"] in line and bound["operation"] in line)
        assert f"{bound['bound']:,}" in row
    assert not list(tmp_path.glob("*.partial"))


def test_bundled_network_keeps_its_classes(triovit, tmp_path):
    target = tmp_path / "b0.safetensors"
    outcome = triovit("quantize", "bundled", "--images", 2, "-o", target)
    assert outcome.status == 0
    assert load_network(target).classes == load_network(BUNDLED_NETWORK).classes


def test_the_same_twice_and_another_with_another_seed(triovit, tmp_path):
    files = []
    for number, seed in enumerate((3, 3, 4)):
        files.append(tmp_path / f"{number}.safetensors")
        assert triovit("quantize", "b0-r32", "--seed", seed, "--images", 2, "-o", files[-1]).status == 0
    first, second, third = (file.read_bytes() for file in files)
    assert first == second != third


@pytest.mark.parametrize(
    "options, settings",
    [
        (["--symmetric", "--no-migration"], {"symmetric": True, "migration": False}),
        (["--method", "percentile", "--percentile", "99.5"], {"method": "percentile", "percentile": 99.5}),
        (["--shifting", "none"], {"shifting": "none"}),
    ],
)
def test_settings_reach_the_network(triovit, tmp_path, options, settings):
    target = tmp_path / "q.safetensors"
    outcome = triovit("quantize", "bundled", "--images", 1, *options, "-o", target)
    assert outcome.status == 0
    assert settings.items() <= load_network(target).metadata["settings"].items()
    assert target.read_bytes() != BUNDLED_NETWORK.read_bytes()


def test_a_broken_network_leaves_the_old_file_alone(refused, tmp_path):
    state = load_file(BUNDLED_PATH)
    name = next(name for name in state if name.endswith("running_var"))
    save_file(state | {name: -state[name]}, tmp_path / "negative.safetensors")
    target = tmp_path / "q.safetensors"
    target.write_text("the old one")
    refused("quantize", tmp_path / "negative.safetensors", "--resolution", 64, "-o", target)
    assert target.read_text() == "the old one"
