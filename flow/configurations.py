"""Configurations of the accelerator, named on the command line."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from triovit.flow.errors import UsageError
from triovit.hdl.config.accelerator import AcceleratorConfig, load_config


def find_config(name: str) -> AcceleratorConfig:
    """The configuration that --config names: a preset or a JSON file. A file without a name gets the file's."""
    if not Path(name).is_file():
        return load_config(name)
    try:
        config = load_config(name)
        if config.name == AcceleratorConfig.name:
            config = dataclasses.replace(config, name=Path(name).stem).validate()
    except ValueError as error:
        raise UsageError(f"--config {name}: {error}") from None
    return config
