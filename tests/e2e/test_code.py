"""What an edit of code runs again, and what `make accept` makes of one: `python -m tests.e2e.test_code FOLDER`.

Run so, it prints the table of docs/graph.md, from `dvc status` in the small study that lies in FOLDER or is made there.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.checkout import Checkout, checkout, environment, ran

pytestmark = pytest.mark.e2e
PAGE = Path("docs/graph.md")
BEGIN, END = "<!-- edits: python -m tests.e2e.test_code FOLDER -->\n", "<!-- end of edits -->"
RECORD = "from stages.configure import Path as P, record_code; record_code(root=P(), code=P('data/code'))"
AGREEMENT = Path("pipeline/steps/agreement.py")
OUTPUT = Path("data/agreement/annotation")


class Edit(NamedTuple):
    """A text of one file that is replaced by another."""

    what: str
    """In words."""
    file: str
    """From the root of the checkout."""
    old: str
    new: str


EDITS = (
    Edit("a comment", "training/optimizer.py", "# of groups that state none", "# of all others"),
    Edit("a docstring", "training/optimizer.py", '"""Give every group', '"""Set for every group'),
    Edit("formatting", "training/optimizer.py", "optim.Adam(groups, rate, fused=FUSED)",
         "optim.Adam(\n                groups,\n                rate,\n                fused=FUSED,\n            )"),
    Edit("an annotation", "training/optimizer.py", "rate: float) -> None", "rate: Any) -> None"),
    Edit("the progress bar itself", "runtime/console.py", "LOG_LINES = 30.0", "LOG_LINES = 5.0"),
    Edit("the text of a progress bar", "steps/pair.py", 'what="pair", unit="sample"', 'what="cut out", unit="row"'),
    Edit("the live curves", "training/progress.py", 'DVCLIVE = "dvclive"', 'DVCLIVE = "live"'),
    Edit("the name of a local variable", "training/optimizer.py", "exempt", "spared"),
    Edit("the text of an error", "training/trainer.py", "has not enough memory", "has too little memory"),
    Edit("a constant of training", "training/optimizer.py", "momentum=0.9", "momentum=0.95"),
    Edit("a constant of cutting out", "imaging/letterbox.py", "", "MARGIN = 1\n"),
    Edit("a constant that most stages import", "datasets/index.py", "", "MARGIN = 1\n"),
    Edit("a pinned version", "../requirements.lock", "numpy==", "numpy>="),
)  # fmt: skip


def edit(copy: Checkout, file: Path, old: str, new: str) -> Callable[[], object]:
    """Replace a text, which may be empty for the end of the file; return what undoes it."""
    path = copy.folder / file
    before = path.read_text()
    assert old in before, f"{file} has no {old!r}"
    path.write_text(before.replace(old, new) if old else before + new)
    return lambda: path.write_text(before)


def stages_to_run(copy: Checkout) -> list[str]:
    """Return what `dvc status` says would run, after what `configure` does about code."""
    copy.call("python", "-c", RECORD)
    status = json.loads(copy.run("dvc", "status", "--json").stdout)
    return sorted(status.keys() - {"configure"})


def row(copy: Checkout, made: Edit) -> str:
    """Return the table's row of an edit, which is undone."""
    undo = edit(copy, Path("pipeline") / made.file, made.old, made.new)
    stages = stages_to_run(copy)
    undo()
    kinds = [f"`{name}`" for name in dict.fromkeys(stage.partition("@")[0] for stage in stages)]
    file = (Path("pipeline") / made.file).as_posix().replace("pipeline/../", "")
    return f"| {made.what} | `{file}` | {', '.join(kinds) or 'nothing'} | {len(stages)} |\n"


def table(copy: Checkout) -> str:
    """Return the rows of all edits below their heading."""
    head = "| you edit | in | runs again | stages |\n|---|---|---|---|\n"
    assert stages_to_run(copy) == []
    return head + "".join(row(copy, made) for made in EDITS)


@pytest.fixture(scope="module")
def copy(whole: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Return a twin of the whole study: the page counts stages of all runs."""
    return whole.twin(tmp_path_factory.mktemp("code") / "copy")


def test_the_page_says_what_an_edit_runs(copy: Checkout, root: Path) -> None:
    """From real edits and DVC's own word."""
    assert table(copy) == (root / PAGE).read_text().split(BEGIN)[1].split(END)[0]


def test_accept_takes_what_moves_no_byte_and_nothing_else(copy: Checkout) -> None:
    """A refactor is accepted, and then nothing runs; a moved byte, a damaged output and another setting are refused."""
    accept, lock = ("python", "-m", "tools.accept"), copy.folder / "dvc.lock"
    made_by, before = copy.call("git", "rev-parse", "HEAD").strip(), lock.read_bytes()

    undo = edit(copy, AGREEMENT, "samples=len(rows)", "samples=len(rows) + 1")
    assert f"agreement@annotation: {OUTPUT} moved" in copy.refused(*accept)
    undo()

    edit(copy, AGREEMENT, "said", "words")
    undo = edit(copy, Path("params.yaml"), "photos_per_file: 16", "photos_per_file: 8")
    output = copy.folder / OUTPUT / "summary.json"
    whole = output.read_bytes()
    output.unlink()  # it may be a link into the cache
    output.write_bytes(whole[:-1] + b" ")
    refusal = copy.refused(*accept)
    assert f"agreement@annotation: changed outs: {OUTPUT} modified" in refusal
    assert "pair@annotation: changed deps: data/settings/pair.json modified" in refusal
    undo()
    output.write_bytes(whole)
    assert lock.read_bytes() == before

    assert "accepted agreement@annotation" in copy.call(*accept)
    (record,) = map(json.loads, (copy.folder / "results/accepted.jsonl").read_text().splitlines())
    assert record["from"] == record["to"] == made_by
    assert record["edited"] == [str(AGREEMENT)]
    assert record["stages"] == ["agreement@annotation"]
    assert "test@example.org" in record["who"]
    assert stages_to_run(copy) == []
    assert ran(copy.call("dvc", "repro")) == ["configure"]
    assert not list((copy.folder / ".unfinished").glob("accept-*/"))


def main() -> None:
    """Print the table."""
    folder = Path(sys.argv[1]).absolute()
    study = Checkout(folder, environment(folder)) if folder.exists() else checkout(folder)
    study.call("dvc", "repro")
    print(table(study), end="")  # noqa: T201


if __name__ == "__main__":
    main()
