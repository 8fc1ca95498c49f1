"""All tables by the names that pages call them by; a subject's tables are a file."""

from __future__ import annotations

from collections.abc import Callable

from docs.tables import commands, configurations, hardware, instruction_set, networks, quantization, resources

CONTENTS: dict[str, Callable[[], str]] = {
    **instruction_set.CONTENTS,
    **configurations.CONTENTS,
    **commands.CONTENTS,
    **networks.CONTENTS,
    **quantization.CONTENTS,
    **resources.CONTENTS,
    **hardware.CONTENTS,
}
