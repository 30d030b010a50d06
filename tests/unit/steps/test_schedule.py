"""What DVC will do, derived without DVC: its stages are those that DVC resolves."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from dvc.parsing import DataResolver
from dvc.repo import Repo
from ruamel.yaml import YAML

from pipeline.runtime.stores import LIST_SUFFIX, list_of
from pipeline.steps.schedule import _Simulation, expected_seconds, read_records, read_yaml, resolve

ROOT = Path(__file__).parents[3]
SCALE = {"data": ["demo", 64], "epochs": 10}


@pytest.mark.parametrize(
    "changed",
    [{}, {"roi": "deit"}, {"seeds": [1, 2]}, {"roi": "vit", "extra_roi": "vit"}, {"masks": {"eval": "sam"}}],
)
def test_stages_are_those_that_dvc_resolves(changed: dict[str, Any], tmp_path: Path) -> None:
    """Names, commands, dependencies and outputs, for other runs, seeds and masks."""
    yaml = YAML(typ="safe", pure=True)
    values = yaml.load(ROOT / "params.yaml")
    for key, value in changed.items():
        values[key] = {**values[key], **value} if isinstance(value, dict) else value
    yaml.dump(values, tmp_path / "params.yaml")
    ours = resolve(read_yaml(ROOT / "dvc.yaml"), read_yaml(tmp_path / "params.yaml"))
    repo = Repo(str(tmp_path), uninitialized=True)
    theirs = DataResolver(repo, str(tmp_path), yaml.load(ROOT / "dvc.yaml")).resolve()["stages"]
    assert ours.keys() == theirs.keys()
    for name, stage in theirs.items():
        outs = [*stage.get("outs", []), *stage.get("metrics", [])]
        assert ours[name].cmd == stage["cmd"]
        assert set(ours[name].deps) == set(stage["deps"])
        assert set(ours[name].outs) == {out if isinstance(out, str) else next(iter(out)) for out in outs}


def test_a_changed_setting_is_named_also_inside_a_folder(tmp_path: Path) -> None:
    """The value before, from DVC's cache, and now."""
    settings = tmp_path / "data/settings"
    settings.mkdir(parents=True)
    before = {"report.json": b'{"samples": 12}', "pair.json": b"{}"}
    listed = list_of({name: hashlib.md5(content).hexdigest() for name, content in before.items()})  # noqa: S324
    for content, suffix in ((before["report.json"], ""), (listed, LIST_SUFFIX)):
        md5 = hashlib.md5(content).hexdigest() + suffix  # noqa: S324 - DVC's
        path = tmp_path / "cache/files/md5" / md5[:2] / md5[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (settings / "report.json").write_text('{"samples": 4}')
    (settings / "pair.json").write_bytes(before["pair.json"])
    found = _Simulation({}, {}, tmp_path / "cache", tmp_path.joinpath)._what_changed("data/settings", md5)
    assert list(found) == ["report.samples: 12 -> 4"]


def record(stage: str, total: int, seconds: int = 0, **other: Any) -> dict[str, Any]:
    """Return a record of a finished stage."""
    work = {"seconds": float(seconds)}
    return {"stage": stage, "total": float(total), "done": True, "work": work, "scale": SCALE} | other


HISTORY = [
    record("train@vit+none-all", 50, 40),
    record("train@mobilenetv2+none-all", 30, 20),
    record("train@vit+vit-all", 95, 85),
    record("evaluate@vit+none-all", 8),
    record("evaluate@vit+vit-all", 10),
]


@pytest.mark.parametrize(
    ("stage", "seconds"),
    [
        ("train@vit+vit-all", 95),  # its own
        ("train@mobilenetv2+vit-all", 70),  # 30 + 50, started once
        ("train@vit+deit-all", 72.5),  # the median of those with vit
        ("evaluate@deit+none-all", 9),  # the median of its kind
        ("perturb@vit+none-all", None),  # none of its kind
    ],
)
def test_a_duration_comes_from_the_nearest_records(stage: str, seconds: float | None) -> None:
    """The stage's own first."""
    assert expected_seconds(stage, HISTORY, SCALE) == seconds


def test_only_training_grows_with_the_epochs() -> None:
    """And only its work, not the start."""
    twice = SCALE | {"epochs": 20}
    assert expected_seconds("train@vit+vit-all", HISTORY, twice) == 180
    assert expected_seconds("evaluate@vit+vit-all", HISTORY, twice) == 10


def test_records_of_other_data_do_not_count() -> None:
    """Nor those that never ended."""
    other = [record("report", 9, scale={"data": ["foodseg103", 224], "epochs": 10}), record("report", 9, done=False)]
    assert expected_seconds("report", other, SCALE) is None


def test_a_stage_that_was_interrupted_took_the_sum_of_its_parts(tmp_path: Path) -> None:
    """Until it ended; lines that were cut short are left out."""
    lines = [("train@a", 100, False), ("train@b", 7, True), ("train@a", 20, True), ("train@a", 110, True)]
    path = tmp_path / "stages.jsonl"
    written = [json.dumps({"stage": stage, "seconds": s, "done": done}) for stage, s, done in lines]
    path.write_text("\n".join([*written, '{"stage": "tra']))
    assert [entry["total"] for entry in read_records(path)] == [100, 7, 120, 110]
    assert read_records(tmp_path / "absent") == []
