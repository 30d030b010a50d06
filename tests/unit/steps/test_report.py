"""Stage report on a small study."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.acquisition.source import SourceRecord
from pipeline.datasets.index import read_samples
from pipeline.evaluation.ambiguous import AmbiguousPair
from pipeline.evaluation.bootstrap import Bootstrap
from pipeline.evaluation.predictions import read_predictions
from pipeline.evaluation.repetitions import Repetitions, compare_seeds
from pipeline.params.masks import AgreementParams, VotePlan, VoteSummary
from pipeline.params.stages import DistillationSummary
from pipeline.reporting.grid import PAPER_RUNS, GridRun, in_paper_order, runs_with
from pipeline.reporting.paper.published import read_paper
from pipeline.reporting.results import RunFiles
from pipeline.runtime.errors import ManifestError
from pipeline.segmentation.weights import CARD, MaskWeightsCard
from pipeline.steps.agreement import compare_source
from pipeline.steps.summary import collect, summarise
from tests.unit.reporting.page import VARIANT, StudyFolder, write_page
from tests.unit.reporting.study import CATEGORIES, FEW, ROOT, build_study, made_up_probe

pytestmark = pytest.mark.slow

DISTILLED = {
    "teacher": "mobilenetv2+none-all",
    "undistilled": "deit_distilled+none-all",
    "student": "deit_distilled-of-mobilenetv2+none-all",
}
"""Runs of a distillation by their part."""
NOTE = "Of the ambiguous pair, this data set has no category 'harissa': F1 of the pair is left out."
VOID = {"meta", "img", "br", "link", "input", "hr"}
NAMESPACES = {"http://www.w3.org/1999/xlink", "http://www.w3.org/2000/svg"}


class Outline(HTMLParser):
    """Collects what a page refers to, and fails on tags that are not closed in order."""

    def __init__(self) -> None:
        """Start with nothing open."""
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.pictures = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note ids and references."""
        if tag not in VOID:
            self.open.append(tag)
        values = dict(attrs)
        self.ids += [values["id"] or ""] if "id" in values else []
        self.targets += [value or "" for name, value in attrs if name in {"src", "href", "xlink:href", "srcset"}]
        if tag == "img":
            assert values["alt"]
            self.pictures += 1

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag that closes itself."""
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost tag."""
        assert self.open.pop() == tag


def write(study: StudyFolder, report: Path, **beyond: Path) -> str:
    """Run summary and report; return the page."""
    summarise(
        variant=VARIANT,
        evaluations=study.evaluations,
        perturbations=study.perturbations,
        runs=study.runs,
        results=study.results,
    )
    return write_page(study, report, **beyond)


def write_few(study: StudyFolder, report: Path, **beyond: Path) -> str:
    """Write the report of the runs that a study has; return the page."""
    runs = in_paper_order(path.name for path in study.runs.iterdir())
    found = collect(RunFiles(study.runs, study.evaluations, study.perturbations), runs, variant=None)
    study.results.mkdir(exist_ok=True)
    found.write(study.results / "summary.json")
    return write_page(study, report, variant=None, **beyond)


def write_repetitions(study: StudyFolder, path: Path) -> None:
    """Pretend that three runs were repeated, with the predictions of other runs of the same branches."""
    alike = {"mobilenetv2+none-all": "vit", "vit+none-all": "deit", "mixer+none-all": "deit_distilled"}
    tables = {
        run: [
            read_predictions(study.evaluations / name / "predictions.parquet")
            for name in (run, f"{other}+none-all", "deit_distilled+none-all")
        ]
        for run, other in alike.items()
    }
    found = compare_seeds((0, 1, 2), tables, ("ketchup", "chili paste"), Bootstrap(0, resamples=200))
    path.write_text(found.model_dump_json())


def write_distillation(study: StudyFolder, folder: Path) -> None:
    """Pretend that a student predicts as a run of two branches does."""
    for part, run in (("teacher", "mobilenetv2+none-all"), ("student", "vit+vit-all")):
        shutil.copytree(study.evaluations / run, folder / part)
    how = {"kind": "hard", "alpha": 0.5, "temperature": 3.0}
    (folder / "student/run.json").write_text(json.dumps({"distillation": how}))
    summary = DistillationSummary(**{key: DISTILLED[key] for key in ("teacher", "student", "undistilled")})
    (folder / "summary.json").write_text(summary.model_dump_json())


def write_agreement(study: StudyFolder, folder: Path) -> None:
    """Run stage `agreement` on annotation."""
    none = dict.fromkeys(("architecture", "file", "sha256", "licence", "stored"))
    folder.parent.mkdir(parents=True)
    MaskWeightsCard(source="annotation", origin="none", **none).write(folder.parent / CARD)
    compare_source(
        AgreementParams(boundary=0.02, shown=1, image_size=32, seed=0),
        source="annotation",
        raw=study.raw,
        samples=study.index / "samples.parquet",
        weights=folder.parent,
        masks=study.masks,
        output=folder,
        workers=1,
    )


def write_vote(study: StudyFolder, folder: Path) -> None:
    """Pretend that a segmentation model votes as a run of one branch predicts; another one was asked for, too."""
    (folder / "segformer").mkdir(parents=True)
    VotePlan(models=("segformer", "later")).write(folder / "plan.json")
    shutil.copy(study.evaluations / "vit+none-all/predictions.parquet", folder / "segformer")
    VoteSummary(
        name="segformer", model="owner/name@abc", architecture="segformer", sha256="ab", source="annotation",
        samples=24, top1=0.5, macro_f1=0.5, labels_without_category=("background",), categories_without_label=("rice",),
    ).write(folder / "segformer/vote.json")  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """Return a study that tests must not change."""
    return build_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """Return a study of a few runs that tests must not change."""
    study = build_study(tmp_path_factory.mktemp("small"), runs=(*FEW, "vit+mobilenetv2-all"))
    write_few(study, study.path / "page")
    return study


@pytest.fixture(scope="module")
def page(built: StudyFolder) -> str:
    """Return its page, with two more seeds, a distilled student and a probe."""
    folder = built.path / "beyond"
    write_distillation(built, folder / "distilled/mobilenetv2")
    write_repetitions(built, folder / "repetitions.json")
    (folder / "probes/tiny").mkdir(parents=True)
    made_up_probe(150, 190).write(folder / "probes/tiny/probe.json")
    write_agreement(built, folder / "agreement/annotation")
    write_vote(built, folder / "votes")
    places = {
        "repetitions": folder / "repetitions.json",
        "distilled": folder / "distilled/mobilenetv2",
        "probes": folder / "probes",
        "agreement": folder / "agreement/annotation",
        "votes": folder / "votes",
    }
    return write(built, built.path / "page", **places)


@pytest.fixture(scope="module")
def results(built: StudyFolder, page: str) -> dict[str, Any]:
    """Return the numbers of that page."""
    assert page
    values: dict[str, Any] = json.loads((built.path / "page/results.json").read_text(encoding="utf-8"))
    return values


def outline(page: str) -> Outline:
    """Parse a page."""
    parser = Outline()
    parser.feed(page)
    parser.close()
    return parser


def test_the_page_needs_nothing_but_itself(page: str) -> None:
    """Every reference is a data URI or a place in the page; the browser is told to load nothing else."""
    parsed = outline(page)
    # The cost of the study lies beside the report: no byte of the report may depend on a time.
    assert all(target.startswith(("data:", "#")) or target == "../cost.html" for target in parsed.targets)
    assert set(re.findall(r"https?://[\w./-]+", page)) <= NAMESPACES
    assert "default-src 'none'" in page
    assert not re.findall(r"@import|url\((?!#)", page)


def test_the_page_is_sound_html(page: str) -> None:
    """Tags close in order, ids are unique, and every link of the contents leads somewhere."""
    parsed = outline(page)
    assert parsed.open == []
    assert len(parsed.ids) == len(set(parsed.ids))
    assert {target[1:] for target in parsed.targets if target.startswith("#")} <= set(parsed.ids)


def test_every_run_is_on_the_page(page: str) -> None:
    """With its card; the variant is marked."""
    for run in PAPER_RUNS:
        assert f"<code>{run.name}</code>" in page
    assert f"<code>{VARIANT}</code>" in page
    assert "★ DeiT + MobileNetV2" in page


def test_the_pair_is_on_the_contact_sheet(page: str) -> None:
    """Four pictures a sample, two samples of each ambiguous category, and the examples."""
    sheet = page[page.index('<section id="samples"') : page.index('<section id="runs"')]
    assert sheet.count("ambiguous pair</span>") == 4
    assert outline(sheet[sheet.index("<div") : sheet.rindex("</div>") + 6]).pictures == 4 * 6
    examples = page[page.index('<section id="examples"') : page.index('<section id="perturbations"')]
    assert "Right with the surroundings, wrong without" in examples


def test_the_page_says_nothing_of_this_machine(page: str, built: StudyFolder) -> None:
    """No path, and no password."""
    assert str(built.path) not in page
    assert str(Path.home()) not in page
    assert "LARCdataset9947" not in page


@pytest.fixture(scope="module")
def again(small: StudyFolder) -> Path:
    """Return the report of `small` by another process, of records that are empty."""
    records, report = small.path / "records", small.path / "again"
    (records / "none").mkdir(parents=True)
    (records / "repetitions.json").write_text(Repetitions().model_dump_json())
    no_teacher = DistillationSummary(teacher=None, student=None, undistilled=None)
    (records / "none/summary.json").write_text(no_teacher.model_dump_json())
    code = (
        "from pathlib import Path; from tests.unit.reporting.page import StudyFolder, write_page; "
        f"records = Path({str(records)!r}); "
        f"write_page(StudyFolder(Path({str(small.path)!r})), Path({str(report)!r}), variant=None, "
        "repetitions=records / 'repetitions.json', distilled=records / 'none')"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "LC_ALL": "C", "TZ": "Asia/Tokyo", "PYTHONUTF8": "0"}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)  # noqa: S603 - our own code
    return report


def test_the_same_inputs_make_the_same_bytes_in_any_process(small: StudyFolder, again: Path) -> None:
    """Another hash seed, another locale, another process and an empty record change nothing, in page and figures."""
    theirs, ours = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")}
        for folder in (again, small.path / "page")
    )
    assert theirs == ours


@pytest.fixture(scope="module")
def noted(small: StudyFolder, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the page of a study of a few runs, of which every record says something that `small` does not."""
    folder = tmp_path_factory.mktemp("noted")
    study = StudyFolder(shutil.copytree(small.path, folder / "study"))
    settings = study.settings / "download.json"
    settings.write_text(settings.read_text().replace('"source": "demo"', '"source": "foodseg103@hub"'))
    for path in study.runs.glob("*/run.json"):
        card = json.loads(path.read_text())
        card["train"]["share_branches"] = True
        seen = {"food_visible": {"train": 0.5}} if path.parent.name in {"vit+vit-all", "vit+mobilenetv2-all"} else {}
        path.write_text(json.dumps(card | {"parameters": 87_915_601} | seen))
    record = SourceRecord(name="A/B", bytes=1, sha256="ab", revision="34e", instead_of="https://host/a.zip: HTTP 502")
    record.write(folder / "source.json")
    pair = AmbiguousPair(names=("ketchup", "harissa"), chosen="given", basis="as params.yaml names them", notes=(NOTE,))
    pair.write(folder / "ambiguous.json")
    places = {"source": folder / "source.json", "ambiguous": folder / "ambiguous.json"}
    return write_few(study, folder / "report", **places)


def test_the_page_says_where_the_data_set_came_from(small: StudyFolder, page: str, noted: str, tmp_path: Path) -> None:
    """As stage `download` recorded it; a record that is damaged would put nonsense onto the page."""
    assert "<li>Where the data set came from is not recorded.</li>" in page
    assert (
        "<li>The data set came from A/B on the Hugging Face hub, commit 34e, instead of https://host/a.zip: HTTP 502 "
        "(bytes 1, sha256 ab).</li>"
    ) in noted
    source = tmp_path / "source.json"
    source.write_text("[]")
    with pytest.raises(ManifestError, match=r"source\.json: damaged .*; run `dvc repro"):
        write_page(small, tmp_path / "report", variant=None, source=source)


def test_the_data_card_ends_with_what_the_data_set_lacks_of_the_pair(noted: str) -> None:
    """As stage `ambiguous` noted it; nothing else on the page says why there is no F1 of the pair."""
    assert f"<li>{NOTE}</li>\n</ul></details>" in noted.replace("&#39;", "'")


def test_the_page_says_what_foodseg103_lacks(page: str, noted: str) -> None:
    """Where the data set is to be FoodSeg103, and nowhere else."""
    assert "official release" not in page
    assert "<li>This is not the official release of FoodSeg103 as a whole: train lacks 4,979 of 4,983 photos; " in noted


def test_what_differs_says_how_many_samples_see_their_own_food(page: str, noted: str) -> None:
    """Where runs were paired by photo; else it says what the released code did."""
    assert "(72.3 % of the official test split's;" in section(page, "caveats")
    said = " ".join(section(noted, "caveats").split())
    assert "50.0 % of test samples see their own food in what is called their surroundings" in said
    assert "It concerns 2 of the 4 runs shown" in said


def test_what_differs_says_which_runs_share_their_branches(page: str, noted: str) -> None:
    """And the run cards count a shared branch's parameters once, as `run.json` does."""
    assert "Each branch has weights of its own" in section(page, "caveats")
    assert "In 1 of the 4 runs shown both branches are one network" in " ".join(section(noted, "caveats").split())
    assert noted.count("the weights of the ROI branch") == 1
    assert noted.count("<td>87,915,601</td>") == 4


FINDINGS = [
    *({"file": f"Images/img_dir/train/{number:03d}.jpg", "detail": "an empty file"} for number in range(60)),
    {"file": "Images/img_dir/train/<script>alert(1)</script>.jpg", "detail": "a web page"},
]


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the page of an archive without the pair, of which much was left out, and whose names are markup."""
    folder = tmp_path_factory.mktemp("other")
    names = CATEGORIES.replace("ketchup", "egg").replace("chili paste", "ham")
    study = build_study(folder / "study", categories=names.replace("rice", "<script>alert(2)</script>"), runs=FEW)
    path = study.index / "summary.json"
    summary = json.loads(path.read_bytes())
    group = {"count": len(FINDINGS), "mend": "replace the photo", "left_out": True, "findings": FINDINGS}
    path.write_text(json.dumps(summary | {"problems": {"photo_unreadable": group}}))
    source = folder / "source.json"
    source.write_text('{"name": "a.zip", "bytes": 1234, "sha256": "ab"}')
    return write_few(study, folder / "report", source=source)


def test_a_data_set_without_the_pair_gets_a_finding_on_everything(other: str) -> None:
    """FoodSeg103 without the extra photos has no ketchup and no chili paste; of an archive its record is told, too."""
    assert "<li>The data set came from a.zip (bytes 1,234, sha256 ab).</li>" in other
    assert "<dt>archive, name</dt><dd><code>a.zip</code></dd>" in other
    assert "on the whole test split" in other
    assert "ambiguous pair</span>" not in other
    assert outline(other).open == []


def test_a_summary_of_another_variant_is_refused(built: StudyFolder, page: str, tmp_path: Path) -> None:
    """The page would show the wrong star."""
    assert page
    with pytest.raises(ManifestError, match="run `dvc repro summary`"):
        write_page(built, tmp_path, variant="vit+none-all")


@pytest.mark.parametrize(
    ("file", "hint"),
    [
        ("index/summary.json", "dvc repro index"),
        ("runs/vit+none-all/run.json", r"dvc repro train@vit\+none-all"),
        ("runs/vit+none-all/history.csv", r"dvc repro train@vit\+none-all"),
        ("shards/annotation/manifest.json", "dvc repro"),
    ],
)
def test_an_absent_input_names_the_stage_to_run(small: StudyFolder, tmp_path: Path, file: str, hint: str) -> None:
    """As a command."""
    path = small.path / "data" / file
    hidden = path.rename(path.with_suffix(".hidden"))
    try:
        with pytest.raises(ManifestError, match=hint):
            write_page(small, tmp_path, variant=None)
    finally:
        hidden.rename(path)


def test_the_page_lists_everything_that_was_left_out(other: str) -> None:
    """However much it is, and whatever names of files and categories hold: no finding is cut, and none is markup."""
    assert all(f"<code>{escape(finding['file'])}</code>" in other for finding in FINDINGS)
    assert "<script>alert" not in other
    assert "&lt;script&gt;alert(2)&lt;/script&gt;" in other


def section(page: str, name: str) -> str:
    """Return one section of a page."""
    start = page.index(f'<section id="{name}"')
    return page[start : page.index("</section>", start)]


def test_frozen_features_come_right_after_the_finding(page: str, results: dict[str, Any]) -> None:
    """What there is to gain: a verdict, a chart, every classifier with its gain; the same in results.json."""
    assert page.index('<section id="finding"') < page.index('<section id="probe"') < page.index('<section id="paper"')
    text, stored = section(page, "probe"), results["probes"]
    assert "The surroundings help: beside the ROI the extra-ROI adds +13.3 points" in text
    assert text.count("<svg") == 1
    for row in stored["tiny"]["rows"]:
        assert f">{100 * row['top1']['value']:.1f} <small>" in text
    outline(page)


def test_seeds_have_a_section_with_every_number(page: str, results: dict[str, Any]) -> None:
    """Every seed of every run, and every difference with its interval; the same in results.json."""
    text, stored = section(page, "seeds"), results["seeds"]
    assert stored["seeds"] == [0, 1, 2]
    assert text.count("<svg") == 2
    for entry in stored["spreads"]:
        assert all(f">{100 * value:.1f}</td>" in text for value in entry["by_seed"])
    for entry in stored["contrasts"]:
        low, high = (f"{100 * entry['difference'][end]:+.1f}".replace("-", "\N{MINUS SIGN}") for end in ("low", "high"))
        assert f"{low} to {high}" in text
    outline(page)


def test_a_distillation_has_a_section_with_teacher_student_and_the_undistilled(
    page: str, results: dict[str, Any]
) -> None:
    """Scores of the three, and what the student gained on the other two; the same in results.json."""
    text, stored = section(page, "distillation"), results["distillation"]
    assert stored["runs"] == DISTILLED
    assert list(stored["student_gains"]) == ["teacher", "undistilled"]
    for run in DISTILLED.values():
        assert f"<code>{run}</code>" in text
    gain = stored["scores"]["student"]["top1"]["value"] - stored["scores"]["undistilled"]["top1"]["value"]
    assert stored["student_gains"]["undistilled"]["top1"]["value"] == pytest.approx(gain)
    assert "the teacher sets 50 % of the loss" in " ".join(text.split())


def test_semantic_maps_have_every_run_beside_published_numbers(
    built: StudyFolder, page: str, results: dict[str, Any]
) -> None:
    """True answers make the annotation; a run's accuracy is that of its samples by area; FoodSAM is beside them."""
    text, stored = " ".join(section(page, "semantic_maps").split()), results["semantic_maps"]
    rows = {row["answers"]: row for row in stored["rows"]}
    assert rows.pop("the true category") == {
        "answers": "the true category", "masks": "annotation", "miou": 1.0, "macc": 1.0, "aacc": 1.0,
    }  # fmt: skip
    assert rows["vote@segformer"] == rows["vit+none-all"] | {"answers": "vote@segformer"}
    assert rows.keys() - {"vote@segformer"} == results["runs"].keys()
    area = {s.sample_id: s.mask_area for s in read_samples(built.index / "samples.parquet")}
    table = read_predictions(built.evaluations / "vit+vit-all/predictions.parquet")
    missed = sum(area[table.sample_ids[row]] for row in np.flatnonzero(table.targets != table.predictions))
    assert rows["vit+vit-all"]["aacc"] == pytest.approx(1 - missed / (12 * 24 * 32), abs=1e-6)
    with (built.path / "page/tables/semantic_maps.csv").open() as file:
        assert [row["answers"] for row in csv.DictReader(file)] == ["the true category", *rows]
    assert "<td>46.42</td><td>58.27</td><td>84.10</td>" in text
    assert "These numbers are of another task." in text
    assert "The photos are others than the 2,135 test photos of FoodSeg103" in text


def test_a_vote_has_a_row_beside_the_runs(page: str, results: dict[str, Any]) -> None:
    """With their intervals, computed from its table, and what it has no label for."""
    text, run = " ".join(section(page, "results").split()), results["runs"]["vit+none-all"]
    (vote,) = results["votes"]
    assert vote["top1_interval"] == pytest.approx(run["top1_interval"], abs=1e-6)
    assert vote["macro_f1_interval"] == pytest.approx(run["macro_f1_interval"], abs=1e-4)
    assert '<th scope="row">segformer</th>' in text
    assert "It has no label for rice, which it always gets wrong." in text


def test_what_was_not_asked_for_has_no_section(again: Path) -> None:
    """Nor has an empty record of it."""
    page = (again / "index.html").read_text(encoding="utf-8")
    assert not {"seeds", "distillation"} & set(outline(page).ids)
    assert not {"seeds", "distillation"} & json.loads((again / "results.json").read_text()).keys()


def test_every_run_has_the_numbers_of_evaluate(built: StudyFolder, results: dict[str, Any]) -> None:
    """All of the grid and the variant, with F1 intervals around the values."""
    assert results["runs"].keys() == {run.name for run in runs_with(GridRun.parse(VARIANT))}
    assert results["variant"] == VARIANT
    for name, run in results["runs"].items():
        metrics = json.loads((built.evaluations / name / "metrics.json").read_text())
        for score in ("top1", "macro_f1", "ambiguous_f1"):
            low, high = run[f"{score}_interval"]
            assert run[score] == metrics[score]
            assert low <= run[score] <= high


def test_cells_have_the_numbers_of_their_runs(results: dict[str, Any]) -> None:
    """In the paper's unit; without a difference, since the data are others, as every table says."""
    for table in results["tables"].values():
        assert "4 train photos (paper: 4,983)" in table["setting"]
        for cell in (cell for row in table["rows"] for cell in row["cells"] if cell["score"] in {"top1", "macro_f1"}):
            run = results["runs"][cell["runs"][0]]
            scale = 100 if cell["score"] == "top1" else 1
            if not cell["detail"]:
                assert cell["ours"] == pytest.approx(scale * run[cell["score"]], abs=1e-4 * scale)
            assert cell["difference"] is None
            assert cell["status"]


def test_changes_are_those_of_perturb(built: StudyFolder, results: dict[str, Any]) -> None:
    """Of the first seed; Table 10's printed decline is beside our change."""
    for row in results["tables"]["10"]["rows"]:
        change = row["cells"][2]
        metrics = json.loads((built.perturbations / change["runs"][0] / "metrics.json").read_text())
        first = next(entry for entry in metrics["entries"] if entry["kind"] == "permutation")
        assert change["ours"] == pytest.approx(100 * first["change_top1"], abs=1e-3)


def test_a_group_is_the_mean_of_the_rows_it_names(results: dict[str, Any]) -> None:
    """Ours as the paper's: Tables 5 to 7 from 11 and 12."""
    singles = {
        (cell["runs"][0], cell["detail"]): cell["ours"]
        for number in ("11", "12")
        for row in results["tables"][number]["rows"]
        for cell in row["cells"]
        if cell["score"] == "change"
    }
    for number in ("5", "6", "7"):
        for cell in (cell for row in results["tables"][number]["rows"] for cell in row["cells"]):
            members = [singles[run, cell["detail"]] for run in cell["runs"]]
            assert cell["ours"] == pytest.approx(sum(members) / len(members), abs=1e-4)


def test_provenance_and_conventions_are_there(results: dict[str, Any]) -> None:
    """Enough to tell what a number is and what it was made from."""
    assert results["provenance"]["paper"]["arxiv"] == read_paper().provenance["arxiv"]
    assert results["provenance"]["runs"]["vit+vit-all"]["weights_sha256"]
    assert {"top1", "macro_f1", "ambiguous_f1", "change_top1"} <= results["conventions"].keys()
    assert results["intervals"]["confidence"] == 0.95
    assert not results["paper_checks"]["pair_f1_caps"]["agrees"]


def test_confusions_and_calibration_add_up(results: dict[str, Any]) -> None:
    """Every sample is in one bin and one category."""
    for run in results["runs"].values():
        assert sum(part["samples"] for part in run["reliability"]["filled"]) == run["samples"]
        assert sum(row["samples"] for row in run["per_class"]) == run["samples"]


def test_nothing_of_this_machine_is_in_any_file(built: StudyFolder, page: str) -> None:
    """No path; and tables are there in three forms, gains in two."""
    assert page
    files = sorted((built.path / "page").rglob("*.*"))
    assert len([file for file in files if file.parent.name == "tables"]) == 3 * 11 + 3
    for file in files:
        assert str(built.path).encode() not in file.read_bytes()
