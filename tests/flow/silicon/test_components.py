"""Components by name, and the arguments of their constructors."""

import pytest

from triovit.flow.errors import UsageError
from triovit.flow.silicon.components import find_class, make
from triovit.golden.errors import TriovitError
from triovit.hdl.config.accelerator import PRESETS
from triovit.hdl.memory.ram import Ram


class Machine:
    """Takes what a component of the hardware may."""

    def __init__(self, config: "AcceleratorConfig", width=1, *, style="auto"):  # noqa: F821
        if width < 0:
            raise ValueError(f"width must be 0 or more, not {width}")
        self.config, self.width, self.style = config, width, style


def test_class():
    assert find_class("triovit.hdl.memory.ram:Ram") is Ram


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("Ram", "is, not Ram"),
        ("triovit.hdl.memory.ram", "is, not triovit.hdl.memory.ram"),
        (":Ram", "is, not :Ram"),
        ("triovit.hdl.memory.rum:Ram", "there is no module triovit.hdl.memory.rum"),
        ("triovit.hdl.memory.ram:Rum", "triovit.hdl.memory.ram has no component Rum; it has Ram"),
        ("triovit.hdl.memory.ram:Signal", "triovit.hdl.memory.ram has no component Signal; it has Ram"),
        ("triovit.hdl.isa.names:Destination", "has no component Destination; it has none"),
    ],
)
def test_names_of_no_component(name, fault):
    with pytest.raises(UsageError, match=r"COMPONENT must be MODULE:CLASS, as triovit\.hdl\.rmac\.") as found:
        find_class(name)
    assert fault in str(found.value)


def test_arguments():
    made = make(Machine, ["trio-tiny", "8", "style=block"])
    assert (made.config, made.width, made.style) == (PRESETS["trio-tiny"], 8, "block")
    made = make(Machine, ["width=0x10", "config=trio-core"])
    assert (made.config, made.width, made.style) == (PRESETS["trio-core"], 16, "auto")
    assert make(Machine, ["trio-tiny", "True"]).width is True


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ([], "not none: missing a required argument: 'config'"),
        (["trio-tiny", "1", "2"], "not trio-tiny 1 2: too many positional arguments"),
        (["trio-tiny", "depth=1"], "got an unexpected keyword argument 'depth'"),
        (["trio-tiny", "-1"], "width must be 0 or more, not -1"),
        (["trio-tiny", "wide"], "'<' not supported"),
    ],
)
def test_arguments_that_are_refused(words, fault):
    with pytest.raises(UsageError, match=r"Machine\(.*\) must get arguments that it takes, not ") as found:
        make(Machine, words)
    assert fault in str(found.value)


def test_configurations_that_are_none():
    with pytest.raises(TriovitError, match="giant"):
        make(Machine, ["giant"])
