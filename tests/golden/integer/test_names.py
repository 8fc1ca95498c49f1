"""Short names of layers."""

from triovit.golden.integer.names import short_names


def test_short_names():
    names = short_names(
        [
            "input",
            "backbone.stages.2.op_list.1.context_module.main.qkv",
            "backbone.stages.2.op_list.1.context_module.main.attention.kv0",
            "main",
        ]
    )
    assert list(names.values()) == ["input", "stages.2.1.context.qkv", "stages.2.1.context.attention.kv0", "main"]


def test_full_names_where_short_ones_are_equal():
    names = short_names(["input", "a.main.b", "a.b"])
    assert names == {name: name for name in ("input", "a.main.b", "a.b")}
