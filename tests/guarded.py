"""Run commands of which every Python process is guarded against connections; see `tests/guard/sitecustomize.py`."""

import shutil
import subprocess
from pathlib import Path

GUARD = Path(__file__).parent / "guard"


def guarded(log: Path, *allowed: str) -> dict[str, str]:
    """Return the environment under which processes are guarded, and note in `log`; `allowed` are hosts."""
    return {"PYTHONPATH": str(GUARD), "GUARD_LOG": str(log), "GUARD_ALLOW": ",".join(allowed)}


def noted(log: Path, what: str) -> list[str]:
    """Return the lines of a log that begin with `guarded`, `allowed` or `refused`, without that word."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return [line.removeprefix(f"{what} ") for line in lines if line.startswith(f"{what} ")]


def without_network() -> tuple[str, ...]:
    """Return the prefix of a command that gives it no network at all, where this user may do that; empty elsewhere."""
    prefix = ("unshare", "--net")
    if shutil.which("unshare") is None:
        return ()
    tried = subprocess.run([*prefix, "true"], capture_output=True, check=False)  # noqa: S603
    return prefix if tried.returncode == 0 else ()
