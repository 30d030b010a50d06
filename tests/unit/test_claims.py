"""A claim belongs to one process and ends with it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.claims import claimed
from pipeline.errors import BusyError

HOLD = """
import sys, time
from pathlib import Path
from pipeline.claims import claimed
with claimed(Path(sys.argv[1]), "it"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path: Path, root: Path) -> "subprocess.Popen[str]":
    """Return a process that holds a claim."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "a.lock")]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True)  # noqa: S603
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_process_in_the_way_is_named_with_what_stops_it(holder: "subprocess.Popen[str]", tmp_path: Path) -> None:
    """Whoever meets a claim learns whose it is; once that process is killed, however hard, the claim is free."""
    message = (
        rf"it: another process is at work here \({holder.pid} on .+\); wait for it, or stop it by `kill {holder.pid}`"
    )
    with pytest.raises(BusyError, match=message), claimed(tmp_path / "a.lock", "it"):
        pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with claimed(tmp_path / "a.lock", "it"):
        assert (tmp_path / "a.lock").read_text().split()[0] == str(os.getpid())


def test_a_claim_is_free_again_after_an_error(tmp_path: Path) -> None:
    """And other claims never were taken."""
    with pytest.raises(ZeroDivisionError), claimed(tmp_path / "a.lock", "it"), claimed(tmp_path / "b.lock", "that"):
        raise ZeroDivisionError
    with claimed(tmp_path / "a.lock", "it"):
        pass
