"""What a stage's list of code holds: all that its script can import from here, and nothing else."""

import ast
import importlib
import inspect
import shutil
import subprocess
import sys
import typing
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import grimp
import pytest

from pipeline.runtime.code_hash import TALKS_ONLY
from pipeline.runtime.console import progress
from pipeline.steps.configure import ACTS_ON_IMPORT, import_closures

READERS = {
    "__annotations__", "__doc__", "get_annotations", "get_type_hints", "getcomments", "getdoc",
    "getsource", "model_json_schema", "singledispatch", "validate_call",
}  # fmt: skip
"""Names by which a program reads its own docstrings, annotations or text."""
SHOWING = {"update", "set_postfix_str", "_count_photos"}
"""What callers do with a progress bar; the last one calls the first."""


@pytest.fixture(scope="module")
def closures(root: Path) -> dict[str, dict[str, str]]:
    """Return the closures of this checkout."""
    return import_closures(root)


def test_every_stage_has_its_script_and_its_step(closures: dict[str, dict[str, str]], root: Path) -> None:
    """By path from the checkout's root, whatever that is."""
    assert set(closures) == {path.stem for path in (root / "stages").glob("[!_]*.py")}
    for stage, files in closures.items():
        always = {"pipeline/runtime/errors.py", "pipeline/runtime/vector_width.py"}
        assert {f"stages/{stage}.py", f"pipeline/steps/{stage}.py", *always} <= files.keys()
        assert list(files) == sorted(files)


def test_imports_inside_functions_count(closures: dict[str, dict[str, str]]) -> None:
    """FastSAM is imported where it was chosen; an edit there must rerun `segment`."""
    assert "pipeline/segmentation/contained_ultralytics.py" in closures["segment"]


def test_what_a_script_cannot_import_is_not_listed(closures: dict[str, dict[str, str]], root: Path) -> None:
    """Editing figures trains nothing; empty package markers stand in no list."""
    assert not any(file.startswith("pipeline/reporting/") for file in closures["train"])
    assert not any(file.startswith("pipeline/training/") for file in closures["pair"])
    assert all((root / file).stat().st_size for files in closures.values() for file in files)


def test_what_only_talks_is_in_no_list(closures: dict[str, dict[str, str]]) -> None:
    """Editing a progress bar runs nothing, though every stage imports it."""
    files = {f"{module.replace('.', '/')}.py" for module in TALKS_ONLY}
    assert not any(files & listed.keys() for listed in closures.values())


@pytest.mark.parametrize("module", TALKS_ONLY)
def test_what_only_talks_gives_nothing_back(module: str) -> None:
    """A function returns nothing, the items it was given, or a bar; a context lends a function that returns nothing."""
    imported = importlib.import_module(module)
    functions = [f for _, f in inspect.getmembers(imported, inspect.isfunction) if f.__module__ == module]
    classes = [c for _, c in inspect.getmembers(imported, inspect.isclass) if c.__module__ == module]
    methods = [f for c in classes for _, f in inspect.getmembers(c, inspect.isfunction) if f.__module__ == module]
    assert functions + methods
    for function in (f for f in functions + methods if not f.__name__.startswith("_")):
        if function.__annotations__["return"] == "tqdm[Any]":
            continue  # see test_what_a_bar_shows_is_not_read
        hints = typing.get_type_hints(function, vars(imported) | {"tqdm": list})
        returned = hints.pop("return")
        passed_on = [Iterator[typing.get_args(hint)] for hint in hints.values() if typing.get_origin(hint) is Iterable]
        (lent,) = typing.get_args(returned) if typing.get_origin(returned) is Iterator else (None,)
        silent = (
            lent is not None and typing.get_origin(lent) is Callable and typing.get_args(lent)[1] in {None, type(None)}
        )
        nothing = returned in {type(None), typing.NoReturn}
        assert nothing or silent or returned in passed_on, f"{module}.{function.__name__} returns {returned}"
    properties = [name for c in classes for name, value in vars(c).items() if isinstance(value, property)]
    assert all(name.startswith("_") for name in properties)


def test_items_pass_a_progress_bar_unchanged() -> None:
    """The same objects in the same order, as many as the caller takes."""
    items = [object() for _ in range(5)]
    assert [*map(id, progress(iter(items), total=5, what="look", unit="thing"))] == [*map(id, items)]
    asked = iter(items)
    assert next(progress(asked, total=None, what="look", unit="thing")) is items[0]
    assert next(asked) is items[1]


def test_what_a_bar_shows_is_not_read(closures: dict[str, dict[str, str]], root: Path) -> None:
    """Its count and clock appear nowhere but in what is shown next."""
    for file in {file for files in closures.values() for file in files}:
        tree = ast.parse((root / file).read_bytes())
        if "tqdm" not in ast.unparse(tree) and "progress_bar" not in ast.unparse(tree):
            continue
        shown = {
            id(node)
            for call in ast.walk(tree)
            if isinstance(call, ast.Call) and ast.unparse(call.func).rpartition(".")[2] in SHOWING
            for node in ast.walk(call)
        }
        read = [
            n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and ast.unparse(n.value) in {"bar", "self.bar"}
        ]
        assert all(id(node) in shown for node in read), file


def test_no_stage_reads_its_docstrings_or_annotations(closures: dict[str, dict[str, str]], root: Path) -> None:
    """But for the help of its command, `parse_options(__doc__, ...)`, which no output holds."""
    for file in {file for files in closures.values() for file in files}:
        tree = ast.parse((root / file).read_bytes())
        helps = [
            c.args[0] for c in ast.walk(tree) if isinstance(c, ast.Call) and ast.unparse(c.func) == "parse_options"
        ]
        names = {
            getattr(node, "id", getattr(node, "attr", getattr(node, "name", "")))
            for node in ast.walk(tree)
            if node not in helps
        }
        assert not names & READERS, file


def test_a_module_that_acts_on_import_always_counts(root: Path) -> None:
    """Of those that only modules that talk may import, since all others are in the lists anyway."""
    graph = grimp.build_graph("pipeline", "stages", cache_dir=None)
    reached = {module for talking in TALKS_ONLY for module in graph.find_upstream_modules(talking)}
    acting = set()
    for module in reached - set(TALKS_ONLY):
        path = root / module.replace(".", "/")
        tree = ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_bytes())
        calls = (n for n in tree.body if isinstance(n, ast.Expr | ast.If) and "TYPE_CHECKING" not in ast.unparse(n))
        if any(not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in calls):
            acting.add(module)
    assert acting == ACTS_ON_IMPORT


def test_an_edit_changes_the_lists_of_those_that_import_the_file(
    closures: dict[str, dict[str, str]], root: Path, tmp_path: Path
) -> None:
    """And no other list, in another checkout at another path; a comment and what only talks change none."""
    for package in ("pipeline", "stages"):
        shutil.copytree(root / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    edited = "pipeline/training/optimizer.py"
    with (tmp_path / edited).open("a") as file:
        file.write("EDITED = 1\n")
    for silent in ("pipeline/arrays.py", "pipeline/runtime/console.py"):
        with (tmp_path / silent).open("a") as file:
            file.write("# a comment\n" if silent.endswith("arrays.py") else "EDITED = 1\n")
    code = (
        "from pathlib import Path; from pipeline.steps.configure import record_code;"
        "record_code(root=Path(), code=Path('code'))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)  # noqa: S603
    before = tmp_path / "before"
    subprocess.run(  # noqa: S603
        [sys.executable, "-c", code.replace("'code'", f"'{before}'")], cwd=root, check=True
    )
    lists = {path.stem: path.read_bytes() for path in (tmp_path / "code").glob("*.json")}
    assert lists.keys() == closures.keys() - {"configure"}
    changed = {stage for stage, content in lists.items() if content != (before / f"{stage}.json").read_bytes()}
    assert changed == {stage for stage, files in closures.items() if edited in files} - {"configure"}
    assert "train" in changed
    assert "pair" not in changed
