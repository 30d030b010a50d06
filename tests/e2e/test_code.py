"""What an edit of code runs again, and what `make accept` makes of one: `python -m tests.e2e.test_code FOLDER`.

Run so, it prints the table of docs/graph.md, from DVC's status of the small study that lies in FOLDER or is made there.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from dvc.repo import Repo

from pipeline.steps.configure import record_code
from tests.e2e.checkout import Checkout, checkout, environment, ran
from tests.e2e.overrides import values_of
from tests.torture.kills import kind_of
from tools.invalidation import DVC_YAML, graph_of
from tools.working_copy import ROOT

pytestmark = pytest.mark.e2e
PAGE = Path("docs/graph.md")
BEGIN, END = "<!-- edits: python -m tests.e2e.test_code FOLDER -->\n", "<!-- end of edits -->"
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


def edit(root: Path, file: Path, old: str, new: str) -> Callable[[], object]:
    """Replace a text, which may be empty for the end of the file; return what undoes it."""
    path = root / file
    before = path.read_text()
    assert old in before, f"{file} has no {old!r}"
    path.write_text(before.replace(old, new) if old else before + new)
    return lambda: path.write_text(before)


def print_stages() -> None:
    """Print for no edit, then for every one of them, what `dvc status` says would run in this folder, as JSON.

    DVC is asked once about code files that are byte for byte the same.
    """
    known: dict[tuple[bytes, ...], str] = {}
    for made in (None, *EDITS):
        undo = edit(Path(), Path("pipeline") / made.file, made.old, made.new) if made else None
        record_code(root=Path(), code=Path("data/code"))
        code = (
            *(path.read_bytes() for path in sorted(Path("data/code").iterdir())),
            Path("requirements.lock").read_bytes(),
        )
        if code not in known:
            known[code] = json.dumps(sorted(Repo().status().keys() - {"configure"}))
        print(known[code])  # noqa: T201 - to the process that asks
        if undo:
            undo()


def table(copy: Checkout) -> str:
    """Return the rows of all edits below their heading, from one process; an edit concerns all stages of a kind."""
    done = copy.run("python", "-c", "from tests.e2e.test_code import print_stages; print_stages()")
    assert done.returncode == 0, done.stderr
    nothing, *found = map(json.loads, done.stdout.splitlines())
    assert nothing == []
    counts = Counter(map(kind_of, graph_of(values_of(copy), ROOT / DVC_YAML).stages))
    rows = "| you edit | in | runs again | stages |\n|---|---|---|---|\n"
    for made, stages in zip(EDITS, found, strict=True):
        kinds = list(dict.fromkeys(map(kind_of, stages)))
        assert set(stages) == {stage for stage in copy.lock() if kind_of(stage) in kinds}
        file = (Path("pipeline") / made.file).as_posix().replace("pipeline/../", "")
        named, count = ", ".join(f"`{kind}`" for kind in kinds), sum(counts[kind] for kind in kinds)
        rows += f"| {made.what} | `{file}` | {named or 'nothing'} | {count} |\n"
    return rows


@pytest.fixture(scope="module")
def copy(study: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Return a twin of the study."""
    return study.twin(tmp_path_factory.mktemp("code") / "copy")


def test_the_page_says_what_an_edit_runs(copy: Checkout, root: Path) -> None:
    """From real edits and DVC's own word."""
    assert table(copy) == (root / PAGE).read_text().split(BEGIN)[1].split(END)[0]


def test_accept_takes_what_moves_no_byte_and_nothing_else(copy: Checkout) -> None:
    """A refactor is accepted, and then nothing runs; a moved byte, a damaged output and another setting are refused."""
    accept, lock = ("python", "-m", "tools.accept"), copy.folder / "dvc.lock"
    made_by, before = copy.call("git", "rev-parse", "HEAD").strip(), lock.read_bytes()

    undo = edit(copy.folder, AGREEMENT, "samples=len(rows)", "samples=len(rows) + 1")
    assert f"agreement@annotation: {OUTPUT} moved" in copy.refused(*accept)
    undo()

    edit(copy.folder, AGREEMENT, "said", "words")
    undo = edit(copy.folder, Path("params.yaml"), "photos_per_file: 16", "photos_per_file: 8")
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
