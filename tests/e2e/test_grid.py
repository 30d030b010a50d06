"""`make grid`: runs side by side; after a failure and Ctrl-C the next call goes on, and collects the study."""

import json
import re
import signal
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.runtime.resumable import file_lock
from tests.e2e.checkout import Checkout

pytestmark = pytest.mark.e2e
GRID = ("python", "-m", "tools.grid", "--jobs", "2")
PLACE = Path(".unfinished/grid")
FAILS, GOES_ON = "mobilenetv2+vit-all", "mobilenetv2+none-all"
EPOCHS = 12


@pytest.fixture
def copy(study: Checkout, tmp_path: Path) -> Checkout:
    """Return the study with its two runs to train again, long enough to be interrupted."""
    copy = study.twin(tmp_path / "copy")
    params, yaml = copy.folder / "params.yaml", YAML()
    values = yaml.load(params)
    values["train"]["epochs"] = EPOCHS
    yaml.dump(values, params)
    return copy


def interrupted(copy: Checkout) -> str:
    """Start the grid, send Ctrl-C once one run has failed and the other has a checkpoint; return what it printed."""
    with subprocess.Popen(  # noqa: S603
        GRID, cwd=copy.folder, env=copy.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        text = ""
        for line in process.stdout:
            text += line
            if "FAILED" in line:
                while not list((copy.folder / PLACE).glob(f"train-{GOES_ON}/.unfinished/train-*/checkpoint.pt")):
                    assert process.poll() is None, text
                    time.sleep(0.05)
                process.send_signal(signal.SIGINT)
    assert process.returncode == 130, text
    return text


def test_a_failure_and_ctrl_c_lose_nothing(copy: Checkout) -> None:
    """One run fails, the other goes on until Ctrl-C; the next call goes on from its checkpoint, and collects."""
    with ExitStack() as stack:
        for place in ("job0", "job1"):  # somebody else trains this run
            lock = copy.folder / PLACE / place / f".unfinished/stages/train@{FAILS}.lock"
            stack.enter_context(file_lock(lock, FAILS))
        text = interrupted(copy)
    assert "2 runs to train, 2 at once" in text
    assert re.search(rf"train-{re.escape(FAILS)} FAILED: .*0 done, 1 failed, 0 waiting", text)
    assert re.search(rf"train-{re.escape(GOES_ON)} interrupted after", text)
    assert "run the same command again to go on" in text
    assert "2 runs to train, 2 at once" in copy.call(*GRID)
    assert set(json.loads((copy.folder / "results/summary.json").read_text())["runs"]) == {FAILS, GOES_ON}
    assert copy.run("dvc", "status", "pair", "train", "evaluate", "summary", "report").stdout.count(":") == 0
    assert not (copy.folder / PLACE).exists()
    lines = map(json.loads, (copy.folder / ".times/stages.jsonl").read_text().splitlines())
    parts = [line for line in lines if line["stage"] == f"train@{GOES_ON}"]
    assert [part["done"] for part in parts] == [False, True]
    samples = json.loads((copy.folder / "data/index/summary.json").read_text())["splits"]["train"]["samples"]
    assert 0 < parts[1]["work"]["amount"] < EPOCHS * samples, "it trained again what it had"
