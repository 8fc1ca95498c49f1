"""Tables of the quantizer: what each method sets, and every setting with its legal values."""

from __future__ import annotations

from dataclasses import asdict

from docs.tables.markdown import code, table
from triovit.flow.quantize import CHOICES, NUMBERS, SWITCHES
from triovit.golden.quantization.effects import NEEDS
from triovit.golden.quantization.methods import METHODS
from triovit.golden.quantization.settings import RULES, Settings
from triovit.golden.quantization.variants import VARIANTS
from triovit.golden.validation import kinds, noun

DEFAULT_METHOD = "trio"


def methods() -> str:
    """What each method sets: settings in which the methods differ."""
    values = {name: asdict(settings) for name, settings in METHODS.items()}
    differ = [field for field in asdict(Settings()) if len({str(value[field]) for value in values.values()}) > 1]
    return table(
        ("setting", *map(code, METHODS)),
        ([code(field), *(_text(value[field]) for value in values.values())] for field in differ),
    )


def options() -> str:
    """Every setting that is an option of the command: values, the default method's, what it needs beside it."""
    texts = {name: text for name, (_, text) in CHOICES.items()} | NUMBERS | SWITCHES
    default = asdict(METHODS[DEFAULT_METHOD])

    def row(name: str) -> tuple[str, ...]:
        legal = "on, off" if name in SWITCHES else RULES[name][0] if name in RULES else noun(kinds(Settings)[name])
        needs = NEEDS[name][0] if name in NEEDS else ""
        return (
            code(f"--{name.replace('_', '-')}"),
            legal.removeprefix("one of "),
            _text(default[name]),
            texts[name],
            needs,
        )

    return table(("option", "values", f"in `{DEFAULT_METHOD}`", "what it sets", "needs"), map(row, texts))


def variants() -> str:
    """The variants of `triovit ablate`, and in what they differ from the plain settings."""
    plain = asdict(Settings())

    def row(name: str, settings: Settings) -> tuple[str, str]:
        changed = {field: value for field, value in asdict(settings).items() if value != plain[field]}
        return code(name), ", ".join(f"{field} {_text(value)}" for field, value in changed.items())

    return table(("variant", "differs from the plain settings in"), (row(*item) for item in VARIANTS.items()))


def _text(value: object) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


CONTENTS = {"settings of methods": methods, "options of the quantizer": options, "variants of ablations": variants}
