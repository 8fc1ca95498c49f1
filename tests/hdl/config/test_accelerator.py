"""Configurations: presets, rules, hash, JSON."""

import dataclasses
import json

import pytest

from triovit.hdl.config.accelerator import PRESETS, AcceleratorConfig, ConfigurationError, load_config


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_legal_and_round_trip(name):
    config = load_config(name)
    assert AcceleratorConfig.from_json(config.to_json()) == config


def test_paper_presets():
    assert PRESETS["trio-core"].multipliers == 128
    board = PRESETS["trio-zcu102"]
    assert board.multipliers == 2048 and (board.ports, board.data_bytes, board.bus_bytes) == (4, 16, 64)


def test_words():
    words = PRESETS["trio-core"].words
    assert words == {"A": 16384, "O": 8192, "B": 8192, "C": 8192, "P": 8192, "K": 256, "divisor": 1024}


def test_hashes_are_stable():
    """Programs, reports and machines that were built carry them."""
    hashes = {name: f"{config.hash:016x}" for name, config in PRESETS.items()}
    assert hashes == {
        "trio-core": "d28afb08c18cc199",
        "trio-zcu102": "1c6e90fd9c79f480",
        "trio-zcu104": "9e2ab0a9c6b2add3",
        "trio-tiny": "f446ac14ace1c06d",
    }


def test_hash_covers_what_a_program_can_notice():
    """Every field but the name and the technology."""
    config = AcceleratorConfig()
    assert dataclasses.replace(config, name="other", technology="ultrascale").hash == config.hash
    hashes = {config.hash}
    for field in dataclasses.fields(config):
        if field.name not in ("name", "technology"):
            value = getattr(config, field.name)
            other = not value if isinstance(value, bool) else value * 2
            hashes.add(dataclasses.replace(config, **{field.name: other}).hash)
    assert len(hashes) == len(dataclasses.fields(config)) - 1


def test_ports():
    """Each serves its cores alone; what all cores share is as wide as all of them together."""
    config = AcceleratorConfig(cores=8, ports=4).validate()
    assert (config.bus_bytes, config.bus_words, config.beat_words, config.port_cores) == (64, 8, 2, 2)
    assert AcceleratorConfig().masters == ("m_axi",)
    assert config.masters == ("m_axi0", "m_axi1", "m_axi2", "m_axi3")
    assert config.banks == AcceleratorConfig().banks


def test_all_broken_rules_are_told_at_once():
    with pytest.raises(ConfigurationError) as error:
        AcceleratorConfig(cores=65, block=5, feature_bytes=3001).validate()
    for text in ("cores must be 1..64, not 65", "block must be 4, 8 or 16, not 5", "feature_bytes must be a multiple"):
        assert text in str(error.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "../other"}, "name must be up to 64 letters, digits"),
        ({"name": 3}, "name must be a text, not 3"),
        ({"cores": 0}, "cores must be at least 1, not 0"),
        ({"cores": "1"}, "cores must be an integer, at least 1, not '1'"),
        ({"data_bytes": 4}, "data_bytes must be a power of two in 8..64 for block 8, not 4"),
        ({"data_bytes": 128}, "data_bytes must be a power of two in 8..64 for block 8, not 128"),
        ({"ports": 3}, "ports must be a power of two in 1..4, not 3"),
        ({"ports": 8, "cores": 8}, "ports must be a power of two in 1..4, not 8"),
        (
            {"ports": 4, "cores": 6},
            "ports must divide the cores, of which each port serves an equal part: 6 is no",
        ),
        (
            {"ports": 4, "cores": 4, "data_bytes": 32},
            "data_bytes must be a power of two in 8..16 for block 8 and 4 ports, not 32",
        ),
        (
            {"burst_beats": 512},
            r"burst_beats must be a power of two in 1..256, not 512: burst_beats \* data_bytes is at most 4096",
        ),
        ({"weight_bytes": 512}, "weight_bytes must be a multiple of 64 in 1024..8388608, not 512"),
        ({"weight_bytes": 1032}, "weight_bytes must be a multiple of 64 in 1024..8388608, not 1032$"),
        ({"output_bytes": 1032}, "output_bytes must be a multiple of 16 in 1024..8388608, not 1032"),
        ({"output_bytes": 1040, "data_bytes": 64}, "output_bytes must be a multiple of 64 in 1024..8388608, not 1040"),
        ({"parameter_bytes": 1984}, "parameter_bytes must be a multiple of 128 in 1024..524288, not 1984"),
        ({"divisors": 8}, "divisors must be 16..4096, not 8$"),
        ({"queue_depth": 1}, "queue_depth must be 2..64"),
        ({"read_bursts": 3}, "read_bursts must be a power of two"),
        ({"write_bursts": 128}, "write_bursts must be a power of two in 1..64, not 128"),
        ({"integrity": 1}, "integrity must be True or False, not 1"),
        ({"technology": "lut"}, "technology must be one of generic, ultrascale, asic, not 'lut'"),
        ({"technology": 8}, "technology must be a text, one of generic, ultrascale, asic, not 8"),
    ],
)
def test_rules(values, message):
    with pytest.raises(ConfigurationError, match=message):
        AcceleratorConfig(**values).validate()


def test_buffers_are_whole_rows():
    """A size needs to be no power of two; each buffer has so many banks."""
    sizes = {"feature_bytes": 72 * 64, "output_bytes": 66 * 16, "weight_bytes": 17 * 64, "parameter_bytes": 9 * 128}
    config = AcceleratorConfig(**sizes, attention_bytes=19 * 64, divisors=17).validate()
    assert config.banks == {"A": 8, "O": 2, "B": 8, "C": 8, "P": 16, "K": 8, "divisor": 1}
    assert all(words % config.banks[buffer] == 0 for buffer, words in config.words.items())
    assert AcceleratorConfig(block=4, data_bytes=4).banks["O"] == 2


@pytest.mark.parametrize("block", [4, 8, 16])
@pytest.mark.parametrize(
    ("field", "words", "instruction_field"),
    [
        ("feature_bytes", 1 << 20, "local"),
        ("output_bytes", 1 << 20, "local"),
        ("weight_bytes", 1 << 20, "local"),
        ("parameter_bytes", 16 << 12, "parameters"),
        ("attention_bytes", 1 << 12, "attention"),
        ("divisors", 1 << 12, "cols"),
    ],
)
def test_largest_sizes(block, field, words, instruction_field):
    """A size is legal as far as the narrowest instruction field addresses it (tests/machine/test_limits.py)."""
    size = words if field == "divisors" else words * block
    config = AcceleratorConfig(**{"block": block, "data_bytes": 16, field: size}).validate()
    assert words in config.words.values()
    with pytest.raises(ConfigurationError) as error:
        dataclasses.replace(config, **{field: 2 * size}).validate()
    assert f"..{size}, not {2 * size}: instruction field {instruction_field} addresses {words} words" in str(
        error.value
    )


def test_files(tmp_path):
    good = tmp_path / "mine.json"
    good.write_text(json.dumps({"name": "mine", "cores": 2}))
    assert load_config(str(good)).cores == 2
    for text, message in (
        ("{", "not JSON"),
        ("[]", "must be a JSON object"),
        ('{"corse": 2}', "unknown field corse"),
        ("[" * 100000, "not JSON"),
    ):
        bad = tmp_path / "bad.json"
        bad.write_text(text)
        with pytest.raises(ConfigurationError, match=message):
            load_config(str(bad))
    with pytest.raises(ConfigurationError, match="unknown configuration 'nothing'; presets: trio-core"):
        load_config("nothing")
    with pytest.raises(ConfigurationError, match="cannot read configuration"):
        load_config(str(tmp_path / "missing.json"))
