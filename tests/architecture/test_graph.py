"""`dvc.yaml`, `stages/`, `params.yaml` and the imports are consistent."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.reporting.figures.paper_figures import EXPLAINED_RUNS
from pipeline.reporting.grid import GRID_RUNS

ROOT = Path(__file__).parents[2]
DOCUMENT: dict[str, Any] = YAML(typ="safe").load(ROOT / "dvc.yaml")
STAGES: dict[str, dict[str, Any]] = {name: entry.get("do", entry) for name, entry in DOCUMENT["stages"].items()}
VARIANT = "${roi}+${extra_roi}-${classes}"
RUNS = [VARIANT, *(run.name for run in GRID_RUNS)]
PER_RUN = ("train", "evaluate", "perturb")


def script_of(command: str) -> str:
    """Return the stage whose script a command runs."""
    match = re.match(r"python -m stages\.(\w+)", command)
    if match is None:
        raise ValueError(f"dvc.yaml: command {command!r} does not start with `python -m stages.`")
    return match.group(1)


def data_deps(stage: str) -> list[str]:
    """Return the dependencies that are no code."""
    return [dep for dep in STAGES[stage]["deps"] if not dep.startswith(("pipeline", "stages", "data/code/"))]


def outs(stage: str) -> list[str]:
    """Return the output paths, metrics included."""
    listed = STAGES[stage].get("outs", []) + STAGES[stage].get("metrics", [])
    return [out if isinstance(out, str) else next(iter(out)) for out in listed]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_code_it_imports(stage: str) -> None:
    """By its list of hashes, which `configure` writes whenever DVC runs; `configure` depends on both packages."""
    code = [dep for dep in STAGES[stage]["deps"] if dep.startswith("data/code/") or dep in ("pipeline", "stages")]
    assert code == (["pipeline", "stages"] if stage == "configure" else [f"data/code/{stage}.json"])
    assert not any(dep.endswith(".py") for dep in STAGES[stage]["deps"])


@pytest.mark.parametrize("stage", STAGES)
def test_one_word_names_one_row(stage: str) -> None:
    """The stage, its script and its step bear the same name."""
    assert script_of(STAGES[stage]["cmd"]) == stage
    assert (ROOT / f"stages/{stage}.py").is_file()
    assert (ROOT / f"pipeline/steps/{stage}.py").is_file()


def test_every_script_is_a_stage() -> None:
    """No script stands outside the graph."""
    assert {path.stem for path in (ROOT / "stages").glob("[!_]*.py")} == set(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_a_description(stage: str) -> None:
    """`dvc stage list` shows a sentence for each."""
    assert STAGES[stage]["desc"]


@pytest.mark.parametrize("stage", STAGES)
def test_the_strings_of_a_script_are_its_deps_and_outs(stage: str) -> None:
    """Every data path a script names is declared in dvc.yaml, and the other way round."""
    tree = ast.parse((ROOT / f"stages/{stage}.py").read_text())
    named = {path_of(call.args[0]) for call in ast.walk(tree) if is_path_call(call)}
    declared = {literal_head(path) for path in [*data_deps(stage), *outs(stage)]}
    if stage == "configure":
        declared |= {"params.yaml"}
    assert {path for path in declared if not covered(path, named)} == set()
    assert {path for path in named - {""} if not covered_by_declared(path, declared)} == set()


def is_path_call(node: ast.AST) -> bool:
    """Return whether a node is `Path("...")` or `Path(f"...")`."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "Path"
        and bool(node.args)
        and isinstance(node.args[0], ast.Constant | ast.JoinedStr)
    )


def path_of(node: ast.expr) -> str:
    """Return a literal path up to its first computed part."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    assert isinstance(node, ast.JoinedStr)
    first = node.values[0]
    return str(first.value).rstrip("/") if isinstance(first, ast.Constant) else ""


def literal_head(path: str) -> str:
    """Return a dvc.yaml path up to its first template."""
    return path.split("${", maxsplit=1)[0].rstrip("/")


def covered(path: str, named: set[str]) -> bool:
    """Return whether the script names a declared path or its folder."""
    return any(path == name or path.startswith(f"{name}/") for name in named if name)


def covered_by_declared(path: str, declared: set[str]) -> bool:
    """Return whether a named path, its parts or its folder are declared."""
    return any(path == entry or entry.startswith(f"{path}/") or path.startswith(f"{entry}/") for entry in declared)


def test_the_grid_has_the_variant_first_and_the_papers_runs_before_others() -> None:
    """A run of the paper with the variant's name must replace the variant, so the variant comes first."""
    grid = DOCUMENT["stages"]["train"]["foreach"]
    assert list(grid) == RUNS
    for run in GRID_RUNS:
        assert grid[run.name] == {"roi": run.roi, "extra_roi": run.extra_roi, "classes": run.classes}


def test_train_evaluate_and_perturb_share_one_grid() -> None:
    """One mapping, so a run is never trained without being evaluated."""
    assert DOCUMENT["stages"]["train"]["foreach"] == DOCUMENT["stages"]["evaluate"]["foreach"]
    assert DOCUMENT["stages"]["train"]["foreach"] == DOCUMENT["stages"]["perturb"]["foreach"]


def test_explained_runs_are_those_that_figure_4_shows() -> None:
    """The variant first, then the runs the figures ask for, each as in the grid."""
    explained, grid = (DOCUMENT["stages"][stage]["foreach"] for stage in ("explain", "train"))
    assert list(explained) == [VARIANT, *(run.name for run in EXPLAINED_RUNS)]
    assert all(grid[name] == entry for name, entry in explained.items())


def test_masks_are_made_for_training_evaluation_and_reference() -> None:
    """Every stage up to the shards knows the same three sources; equal ones are one stage."""
    for stage in ("mask_weights", "segment", "pair"):
        assert DOCUMENT["stages"][stage]["foreach"] == ["${masks.train}", "${masks.eval}", "annotation"]
    for stage in ("agreement", "transfer"):
        assert DOCUMENT["stages"][stage]["foreach"] == ["${masks.eval}"]


def test_runs_are_trained_on_one_source_and_evaluated_on_another() -> None:
    """Other masks for evaluation train nothing."""
    assert "data/shards/${masks.train}" in data_deps("train")
    assert not any("masks.eval" in text for text in (*data_deps("train"), STAGES["train"]["cmd"]))
    for stage in ("evaluate", "perturb", "explain", "probe"):
        assert "data/shards/${masks.eval}" in data_deps(stage)


def test_transfer_evaluates_the_variant_and_pairings_of_the_grid() -> None:
    """The command names its dependencies; all runs but the variant are the paper's."""
    named = STAGES["transfer"]["cmd"].split("--runs ")[1].split()
    assert [f"data/runs/{run}" for run in named] == [dep for dep in data_deps("transfer") if "/runs/" in dep]
    assert named[0] == VARIANT
    assert set(named[1:]) <= {run.name for run in GRID_RUNS if run.kind == "two branches"}


def test_the_summary_depends_on_every_run_and_nothing_else() -> None:
    """Run by run: with the common folder, runs of old variants would enter the results."""
    kinds = ("runs", "evaluations", "perturbations")
    assert data_deps("summary") == [f"data/{kind}/{run}" for run in RUNS for kind in kinds]


def test_no_stage_depends_on_a_part_of_an_output() -> None:
    """For outputs from the run cache, `dvc exp run` would load the folder's list of the last commit, maybe not cached.

    Outputs of `configure` are never from the cache: it runs whenever DVC does.
    """
    made = [path for stage in STAGES if stage != "configure" for path in outs(stage)]
    parts = [dep for stage in STAGES for dep in data_deps(stage) if any(dep.startswith(f"{out}/") for out in made)]
    assert parts == []
    assert STAGES["configure"]["always_changed"]


def test_heavy_stages_have_cached_outputs_only() -> None:
    """`cache: false` disables the run cache, so only cheap stages may use it."""
    kinds = [STAGES[stage].get("outs", []) + STAGES[stage].get("metrics", []) for stage in STAGES]
    uncached = {
        stage for stage, listed in zip(STAGES, kinds, strict=True) if not all(isinstance(o, str) for o in listed)
    }
    assert uncached == {"configure", "summary"}


def test_stages_of_runs_read_shards_from_the_mirror() -> None:
    """Every stage that depends on shards passes `runtime.mirror`; only the report needs local ones."""
    reading = [stage for stage in STAGES if any(dep.startswith("data/shards/") for dep in data_deps(stage))]
    asking = [stage for stage in reading if "runtime.mirror" in (ROOT / f"stages/{stage}.py").read_text()]
    assert len(reading) > 1
    assert set(reading) - set(asking) == {"report"}


def test_only_configure_reads_params() -> None:
    """Every other stage depends on its settings file, so an irrelevant value leaves it cached."""
    assert [stage for stage in STAGES if "params" in STAGES[stage]] == ["configure"]


def test_package_markers_stay_empty() -> None:
    """Otherwise a stage depends on everything its package re-exports.

    Two are not empty: public names are imported on first use, and scripts start without garbage collection.
    """
    markers = [path for folder in ("pipeline", "stages") for path in (ROOT / folder).rglob("__init__.py")]
    assert [path for path in markers if path.stat().st_size] == [
        ROOT / "pipeline/__init__.py",
        ROOT / "stages/__init__.py",
    ]


def test_the_package_imports_nothing_of_itself_eagerly() -> None:
    """Statements that run on import name the standard library only; imports for type checkers do not run."""
    tree = ast.parse((ROOT / "pipeline/__init__.py").read_text(encoding="utf-8"))
    eager = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert {getattr(node, "module", None) for node in eager} == {"importlib", "typing"}
    assert all(
        isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.Expr)
        or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")
        or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not node.orelse)
        for node in tree.body
    )


def test_a_stage_collects_garbage_only_after_its_imports(tmp_path: Path) -> None:
    """Collection is off during imports and on during work; importing the package elsewhere changes nothing."""
    script = "import gc\nbefore = gc.isenabled()\nfrom pipeline.runtime.console import run_stage\n"
    (tmp_path / "stages").mkdir()
    shutil.copy(ROOT / "stages/__init__.py", tmp_path / "stages")
    (tmp_path / "stages/trial.py").write_text(f"{script}run_stage(lambda: print(before, gc.isenabled()))\n")
    imported = "import gc, stages; print(gc.isenabled())"
    states = []
    for command in (["-m", "stages.trial"], ["-c", imported]):
        env = os.environ | {"PYTHONPATH": str(ROOT), "DVC_ROOT": str(tmp_path)}
        done = subprocess.run(  # noqa: S603
            [sys.executable, *command], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
        )
        states.append(done.stdout.split())
    assert states == [["False", "True"], ["True"]]
