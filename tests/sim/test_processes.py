"""Programs end with the block that started them, and so does what they have started."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from triovit.sim.processes import child

# A shell that waits for a process of its own, as make waits for compilers.
TREE = ["sh", "-c", "sleep 60 & echo $!; wait"]


def gone(pid: int) -> bool:
    """Whether a process ends within some seconds; one that nobody has waited for has ended too."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_all_end_when_the_block_is_left(error):
    with pytest.raises(error), child(TREE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        inner = int(process.stdout.readline())
        os.kill(inner, 0)
        raise error
    assert process.returncode is not None and gone(inner)


def test_one_that_will_not_end_is_ended_by_force(monkeypatch):
    monkeypatch.setattr("triovit.sim.processes.GRACE_SECONDS", 0.1)
    stubborn = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"]
    with pytest.raises(KeyboardInterrupt), child(stubborn, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "ready\n"
        raise KeyboardInterrupt
    assert process.returncode == -9


def test_a_block_that_ends_well_has_the_result():
    with child(["sh", "-c", "exit 3"]) as process:
        assert process.wait() == 3
