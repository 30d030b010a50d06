"""What stages cost: a line for each in `.times/stages.jsonl`; and the line that says where the study stands.

Git and DVC ignore both; no stage reads them. Everything here only prints or appends, so no output depends on it.
"""

import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.runtime.errors import counted
from pipeline.runtime.resumable import DVC_STAGE, LOCK_HOLDER
from pipeline.runtime.vector_width import core_count

RECORDS = Path(".times/stages.jsonl")
SCHEDULE = Path(".unfinished/schedule.jsonl")  # what is to run, by `configure`; then name and seconds of what ended
SETTINGS = Path("data/settings")
RANK = "RANK"  # environment variable of torchrun


class Work(NamedTuple):
    """What one progress bar counted."""

    seconds: float
    amount: int
    unit: str


_works: list[Work] = []


def count_work(amount: int, unit: str, seconds: float) -> None:
    """Note what a progress bar counted in this process; the longest one is the stage's work."""
    _works.append(Work(round(seconds, 2), amount, unit.strip()))


@contextmanager
def stage_times() -> Iterator[None]:
    """Print where the study stands, run the block and append its cost; does nothing outside of DVC.

    Parts of a stage that was interrupted have lines of their own. A killed process (SIGKILL) leaves none.
    """
    stage = os.environ.get(DVC_STAGE)
    if stage is None or os.environ.get(RANK, "0") != "0":
        yield
        return
    launched = os.environ.get(LOCK_HOLDER) == stage
    if stage != "configure" and not launched:
        with suppress(OSError, ValueError, KeyError):
            print_position(stage)
    done = False
    try:
        yield
        done = True
    finally:
        if launched or os.environ.get(LOCK_HOLDER) != stage:  # else rank 0, launched by this process, did it
            with suppress(OSError):  # a full disk is reported by the stage
                record = _record(stage, done=done)
                _append(records_file(), record)
                if done and SCHEDULE.exists():
                    _append(SCHEDULE, [stage, record["seconds"]])


def records_file() -> Path:
    """Return the file of records, of the user's checkout also under `dvc exp run --temp`."""
    return Path(os.environ.get("DVC_ROOT", ".")) / RECORDS


def print_position(stage: str) -> None:
    """Print `[34/86] train vit+vit-all: about 2 h 10 min left`: one more than the study's stages that are settled.

    Settled are those that need not run, those that ended, and those whose results this one reads. A stage of unknown
    duration counts as the mean of those of its kind that ended since.
    """
    first, *lines = SCHEDULE.read_text(encoding="utf-8").splitlines()
    schedule: dict[str, Any] = json.loads(first)
    ended: dict[str, float] = dict(map(json.loads, lines))
    settled = {*ended, *schedule["stages"].get(stage, {"reads": ()})["reads"]}
    left = schedule["stages"].keys() - settled | {stage}
    by_kind: dict[str, list[float]] = {}
    for name, seconds in ended.items():
        by_kind.setdefault(name.partition("@")[0], []).append(seconds)
    expected = {name: schedule["stages"].get(name, {"seconds": None})["seconds"] for name in left}
    for name in left:
        if expected[name] is None and (alike := by_kind.get(name.partition("@")[0])):
            expected[name] = sum(alike) / len(alike)
    known = [seconds for seconds in expected.values() if seconds is not None]
    more = f", and {counted(len(left) - len(known), 'stage')} of unknown time" if len(known) < len(left) else ""
    time_left = f"about {format_seconds(sum(known))} left{more}" if known else "time left unknown"
    position = f"[{schedule['total'] - len(left) + 1}/{schedule['total']}]"
    print(f"{position} {stage.replace('@', ' ')}: {time_left}", file=sys.stderr, flush=True)


def format_seconds(seconds: float) -> str:
    """Return a duration for people: `2 h 10 min`, `3 min 20 s`, `12 s`."""
    whole = round(seconds)
    if whole < 60:  # noqa: PLR2004 - seconds of a minute
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes >= 60:  # noqa: PLR2004 - minutes of an hour
        return f"{minutes // 60:,} h {minutes % 60} min"
    return f"{whole // 60} min {whole % 60} s" if whole < 600 else f"{minutes} min"  # noqa: PLR2004 - ten minutes


def scale_of(settings: Path) -> dict[str, Any]:
    """Return what decides how much work a study is: data set, its size where drawn, view size, epochs."""
    download, pair, train = (
        json.loads((settings / f"{name}.json").read_bytes()) for name in ("download", "pair", "train")
    )
    photos = download["demo"] if download["source"] == "demo" else None
    data = [download["source"], photos, download.get("content"), pair["image_size"]]
    return {"data": data, "epochs": train["epochs"]}


def _record(stage: str, *, done: bool) -> dict[str, Any]:
    import psutil  # noqa: PLC0415 - at the end of a stage alone

    work = max(_works, default=Work(0.0, 0, ""))
    own, child = _peak_bytes()
    record: dict[str, Any] = {
        "stage": stage,
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.time() - psutil.Process().create_time(), 2),  # with the imports
        "done": done,
        "work": work._asdict(),
        "peak_bytes": own,
        "child_peak_bytes": child,
        "device": f"CPU, {core_count()} cores",
        "machine": platform.node(),
    }
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        record |= {"device": torch.cuda.get_device_name(), "gpu_peak_bytes": torch.cuda.max_memory_allocated()}
    with suppress(OSError, ValueError, KeyError):
        record["scale"] = scale_of(SETTINGS)
    return record


def _peak_bytes() -> tuple[int, int]:
    """Return the peak resident memory of this process and of its largest child."""
    import resource  # noqa: PLC0415 - Windows has none

    unit = 1 if sys.platform == "darwin" else 1024
    own, child = (resource.getrusage(who).ru_maxrss * unit for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    with suppress(OSError):  # Linux hands `ru_maxrss` on from the process that started this one, DVC
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        own = int(status["VmHWM"].split()[0]) * 1024
    return own, child


def _append(path: Path, value: object) -> None:
    """Append a line in one write, which other writers cannot interleave with theirs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab", buffering=0) as file:
        file.write(json.dumps(value).encode() + b"\n")
