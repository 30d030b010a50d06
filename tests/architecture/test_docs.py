"""What the documentation names exists: files, functions, links, commands, options and parameters."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from ruamel.yaml import YAML

from pipeline.cli.app import app
from tools.readme_figures import with_numbers

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
TEXTS = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in PAGES if page.name != "licences.md"}
CODE = re.compile(r"```.*?```|`[^`\n]+`|^    .+$", re.DOTALL | re.MULTILINE)
PARAMS: dict[str, Any] = YAML(typ="safe").load(ROOT / "params.yaml")
STAGES = set(YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"])
each_page = pytest.mark.parametrize("page", TEXTS)


def code_of(page: str) -> str:
    """Return what stands in backticks, in fences or indented."""
    return "\n".join(CODE.findall(TEXTS[page]))


def anchors_of(page: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", TEXTS[page], re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_links_lead_somewhere(page: str) -> None:
    """Files, and headings in them."""
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", TEXTS[page]):
        path, _, anchor = link.partition("#")
        target = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        assert target.exists(), link
        assert not anchor or anchor in anchors_of(str(target.relative_to(ROOT))), link


def test_the_readme_is_short_and_its_numbers_are_those_of_the_results() -> None:
    """`make figures` writes them."""
    text, summary = TEXTS["README.md"], json.loads((ROOT / "results/summary.json").read_text(encoding="utf-8"))
    assert text.count("\n") <= 120
    assert with_numbers(text, summary) == text


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    """A line of a table of contents in docs/index.md."""
    lines = set(TEXTS["docs/index.md"].split("\n"))
    pages = {str(Path(page).relative_to("docs").with_suffix("")) for page in TEXTS if page.startswith("docs/")}
    assert {page for page in pages if not page.startswith("decisions/")} - {"index"} <= lines


@each_page
def test_files_of_the_project_exist(page: str) -> None:
    """Source, tests, tools and pages, with or without a test's name."""
    for file in re.findall(r"(?<![\w/.-])((?:pipeline|stages|tests|tools|docs|benchmarks)/[\w./*-]*\w)", code_of(page)):
        assert list(ROOT.glob(file)), file


@each_page
def test_modules_and_names_exist(page: str) -> None:
    """`python -m stages.train` and `pipeline.steps.weights.fetch_weights` alike."""
    names = r"(?<![\w/.'-])((?:pipeline|stages|tests|tools)(?:\.[a-z]\w*)+(?:\.[A-Z]\w*)?)(?![\w/])"
    for name in re.findall(names, code_of(page)):
        module, _, attribute = name.rpartition(".")
        if not file_of(name):
            assert file_of(module), name
            assert re.search(rf"^(?:def|class) {attribute}\b", file_of(module).read_text(), re.MULTILINE), name


def file_of(module: str) -> Any:
    """Return the file of a module, or the folder of a package; None if there is no such module."""
    base = ROOT / module.replace(".", "/")
    return next((path for path in (base.with_suffix(".py"), base / "__main__.py", base) if path.exists()), None)


@each_page
def test_commands_and_options_exist(page: str) -> None:
    """Of `python -m pipeline`; options in the same line belong to the command."""
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for command, rest in re.findall(r"python -m pipeline (\w+)([^\n`|#&;]*)", code_of(page)):
        assert command in commands, command
        known = {
            option for parameter in commands[command].params for option in (*parameter.opts, *parameter.secondary_opts)
        }
        assert set(re.findall(r"(?<= )--[\w-]+", rest)) - {"--help"} <= known, f"{command}{rest}"


@each_page
def test_targets_of_make_exist(page: str) -> None:
    """As the Makefile has them."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`|    )make ((?!LOCK|BENCH)[a-z]+)", code_of(page), re.MULTILINE)) <= targets


def keys(section: Any, prefix: str = "") -> Iterator[str]:
    """Yield every key of params.yaml, dotted."""
    for key, value in section.items() if isinstance(section, dict) else ():
        yield f"{prefix}{key}"
        yield from keys(value, f"{prefix}{key}.")


@each_page
def test_parameters_exist(page: str) -> None:
    """Those of `-S`, and those named as `section.key`; two misspelt ones of variants.md are examples of mistakes."""
    known = set(keys(PARAMS))
    sections = "|".join(key for key, value in PARAMS.items() if isinstance(value, dict))
    named = re.findall(r"-S [\"']?([a-z][\w.]*)=", code_of(page))
    named += re.findall(rf"(?<![\w./])((?:{sections})\.[a-z_][a-z_.]*[a-z_])(?![\w/(*])", code_of(page))
    wild = [re.sub(r"^(backbones|class_sets)\.\w+", r"\1.NAME", name) for name in named]
    wild = [re.sub(r"^(vote\.models)\.\w+", r"\1", name) for name in wild]  # there are none but what a user adds
    known |= {re.sub(r"^(backbones|class_sets)\.\w+", r"\1.NAME", key) for key in known}
    assert set(wild) - known - {"train.epoch"} - FILES == set()


FILES = {"train.txt", "probe.json", "vote.json", "index.html", "masks.md", "runtime.errors"}
"""Files and modules whose names look like parameters."""


@each_page
def test_stages_exist(page: str) -> None:
    """Those that DVC is asked for."""
    for names in re.findall(r"dvc (?:repro|pull|commit)((?: [-\w@+.]+)*)", code_of(page)):
        plain = [name.partition("@")[0] for name in names.split() if not name.startswith("-")]
        assert set(plain) <= STAGES | {"STAGE"}, names
