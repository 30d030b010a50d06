"""The lines of the plan."""

from pathlib import Path

import pytest

from pipeline.runtime.errors import ParamsError
from pipeline.steps.plan import _stage_lines, _time_line, plan_study
from pipeline.steps.schedule import StagePlan


def test_a_line_is_a_kind_with_its_reasons() -> None:
    """Up to three names and reasons; what comes from the cache takes no time, what nothing tells is unknown."""
    plans = {
        "configure": StagePlan("run", ["always runs: looks for changes"], seconds=1.0),
        "index": StagePlan("nothing", []),
        "pair@annotation": StagePlan("run", ["index"], seconds=9.0),
        "pair@sam": StagePlan("run", ["index"]),
        "weights@vit": StagePlan("checkout", ["backbones/vit.init: timm -> torchvision"]),
        **{f"train@{n}": StagePlan("run", ["train.epochs: 10 -> 20", f"reads {n}"], seconds=60.0) for n in range(4)},
        "report": StagePlan("run", ["reads what train@0 makes"]),
    }
    assert list(_stage_lines(plans)) == [
        "8 of 10 stages to run; 1 from DVC's cache",
        "          1 s  configure: always runs: looks for changes",
        "        > 9 s  pair annotation, sam: index",
        "       cached  weights vit: backbones/vit.init: timm -> torchvision",
        "    4 min 0 s  train, 4 stages: train.epochs: 10 -> 20; reads 0; reads 1; 2 more reasons",
        "      unknown  report: reads what train@0 makes",
    ]


def test_the_time_says_where_it_comes_from() -> None:
    """Records, a timed step, or neither."""
    running = {
        "train@a": StagePlan("run", [], seconds=100.0),
        "train@b": StagePlan("run", [], seconds=40.0),
        "report": StagePlan("run", []),
    }
    line = "time: about 2 min 22 s (1 stage by this machine's records, 1 stage by a timed step)"
    assert _time_line(running, 1) == f"{line}, and 1 stage of unknown time"
    assert _time_line({"report": StagePlan("run", [])}, 0) == "time: unknown"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("roi=resnet", r"params.yaml:\d+: roi 'resnet' is not one of .*; correct the -S$"),
        ("rio=deit", "-S rio=deit: Could not override 'rio'; give KEY=VALUE with a key of params.yaml$"),
        ("deit", "-S deit: .*; give KEY=VALUE with a key of params.yaml$"),
    ],
)
def test_a_wrong_change_is_told_without_the_copy_that_it_was_tried_on(
    change: str, told: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing stays in params.yaml, so there is nothing to take back."""
    monkeypatch.chdir(root)
    with pytest.raises(ParamsError, match=told):
        plan_study([change])
