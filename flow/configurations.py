"""Configurations of the accelerator, named on the command line."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from triovit.flow.errors import UsageError
from triovit.hdl.config.accelerator import AcceleratorConfig, load_config


def find_config(name: str, option: str = "--config") -> AcceleratorConfig:
    """The configuration that an option names: a preset or a JSON file. A file without a name gets the file's."""
    if not Path(name).is_file():
        return load_config(name)
    try:
        config = load_config(name)
        if config.name == AcceleratorConfig.name:
            config = dataclasses.replace(config, name=Path(name).stem).validate()
    except ValueError as error:
        raise UsageError(f"{option} {name}: {error}".lstrip()) from None
    return config
