"""Command `predict` on photos, as a user types it."""

import csv
import errno
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from typer.testing import CliRunner, Result

from pipeline.cli.app import app
from pipeline.evaluation.predictions import VALIDATION, PredictionWriter
from pipeline.imaging.decode import read_label_map, read_photo
from pipeline.inference.predictor import open_run
from pipeline.runtime.errors import PhotoError, PipelineError
from pipeline.steps import predict as predict_step
from tests.meal import Meal, write_meal
from tests.small_run import CATEGORIES, write_small_run

RED_BOX = ("--box", "28,6,52,26")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an untrained run of two branches."""
    return write_small_run(tmp_path_factory.mktemp("run") / "run", ("roi", "extra_roi"))


@pytest.fixture
def meal(tmp_path: Path) -> Meal:
    """Return files of a photo with two foods."""
    return write_meal(tmp_path / "photos")


def predict(run: Path, *arguments: str, piped: bytes | None = None) -> Result:
    """Run the command; errors of the pipeline come through."""
    command = ["predict", "--run", str(run), "--device", "cpu", *arguments]
    return CliRunner().invoke(app, command, input=piped, catch_exceptions=False)


def refused(run: Path, *arguments: str) -> str:
    """Return why the command was refused."""
    with pytest.raises(PipelineError) as error:
        predict(run, *arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_answer_is_the_run_s(run: Path, meal: Meal) -> None:
    """Categories and calibrated probabilities as from Python, best first."""
    arguments = (str(meal.photo), "--mask", str(meal.label_map), "--value", "1", "--format", "json", "--top", "3")
    (record,) = json.loads(predict(run, *arguments).stdout)
    mask = read_photo(meal.label_map)[..., 0] == 1
    (expected,) = open_run(run, device="cpu").predict(read_photo(meal.photo), [mask])
    (food,) = record["foods"]
    assert [(g["category"], g["probability"]) for g in food["top"]] == [
        (guess.category, pytest.approx(guess.probability, abs=1e-6)) for guess in expected.top(3)
    ]
    assert (record["temperature"], food["found_by"]) == (1.5, "mask file")
    assert food["area_share"] == pytest.approx(mask.mean(), abs=1e-6)


@pytest.mark.parametrize(("precision", "known"), [("0.5", True), ("0.9", False)])
def test_an_unsure_answer_is_not_named(run: Path, meal: Meal, tmp_path: Path, precision: str, known: bool) -> None:
    """The threshold follows from the validation predictions beside the run, and from the precision asked for."""
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    logits = np.zeros((40, len(CATEGORIES)), np.float32)
    logits[:20, 0], logits[20:, 0] = 20, 1e-3  # sure and right; unsure, and right in one of five
    targets = np.r_[np.zeros(24, np.int64), np.ones(16, np.int64)]
    with closing(PredictionWriter(folder / VALIDATION, run="tiny+tiny-all", class_names=CATEGORIES)) as writer:
        writer.write([f"train/{number}/1" for number in range(40)], targets, logits.argmax(1), logits)
    arguments = (str(meal.photo), *RED_BOX, "--precision", precision)
    (record,) = json.loads(predict(folder, *arguments, "--format", "json").stdout)
    assert [food["known"] for food in record["foods"]] == [known]
    text = predict(folder, *arguments)
    assert ("not a known food; nearest: " in text.stdout) != known
    assert ("%  " in text.stdout) == known
    assert f"{'60.0' if known else '100.0'} % of the answers" in text.stderr


def test_every_way_of_pointing_gives_answers(run: Path, meal: Meal) -> None:
    """One food a box, one a value with --all."""
    for arguments, foods in ((RED_BOX, 1), ((*RED_BOX, *RED_BOX), 2), (("--mask", str(meal.label_map), "--all"), 2)):
        result = predict(run, str(meal.photo), *arguments)
        assert result.exit_code == 0
        assert result.stdout.count(f"{meal.photo}: ") == foods
        assert all(result.stdout.count(f"  {category}") == foods for category in CATEGORIES)


def test_a_pattern_names_photos_and_time_is_told(run: Path, meal: Meal) -> None:
    """Where no shell expands it; masks beside photos are none, and a pattern that matches nothing is refused."""
    second = write_meal(meal.photo.parent, "second").photo
    pattern = str(meal.photo.parent / "*.png")
    result = predict(run, pattern, *RED_BOX, "--format", "csv", "--verbose")
    assert [row["photo"] for row in csv.DictReader(result.stdout.splitlines())] == [str(meal.photo), str(second)]
    assert re.findall(r"(\w+)\.png: \d+ ms\n", result.stderr) == ["meal", "second"]
    assert "matches no file" in refused(run, str(meal.photo.parent / "*.tif"), *RED_BOX)


def test_a_photo_may_be_piped_in(run: Path, meal: Meal) -> None:
    """The same answer as for the file."""
    piped = predict(run, "-", *RED_BOX, "--format", "csv", piped=meal.photo.read_bytes()).stdout
    named = predict(run, str(meal.photo), *RED_BOX, "--format", "csv").stdout
    assert piped.replace("-,", f"{meal.photo},", 1) == named


def test_pictures_show_what_was_judged(run: Path, meal: Meal, tmp_path: Path) -> None:
    """Overlay and mask at full size, views as the run saw them, heat of both branches; the listing names them."""
    out = tmp_path / "out"
    arguments = (
        str(meal.photo),
        "--mask",
        str(meal.label_map),
        "--all",
        "--out",
        str(out),
        "--views",
        "--heat",
        "--format",
        "json",
    )
    (record,) = json.loads(predict(run, *arguments).stdout)
    kinds = ("overlay", "mask", "roi", "extra_roi", "heat_roi", "heat_extra_roi")
    listed = [path for food in record["foods"] for path in food["pictures"].values()]
    assert sorted(listed) == sorted(str(out / f"meal-{number}-{kind}.png") for number in (1, 2) for kind in kinds)
    mask = read_photo(meal.label_map)[..., 0] == 2
    np.testing.assert_array_equal(read_photo(out / "meal-2-mask.png")[..., 0] == 255, mask)
    prediction = open_run(run, device="cpu").predict(read_photo(meal.photo), [mask])[0]
    np.testing.assert_array_equal(read_photo(out / "meal-2-extra_roi.png"), prediction.extra_roi)
    overlay = read_photo(out / "meal-2-overlay.png")
    np.testing.assert_array_equal((overlay != read_photo(meal.photo)).any(axis=2), mask)


def test_the_foods_a_run_knows_are_listed(run: Path) -> None:
    """By name, without a photo; without either the command says what it lacks."""
    assert predict(run, "--foods").stdout.splitlines() == sorted(CATEGORIES)
    assert predict(run).exit_code == 2


def test_the_whole_plate_is_listed_beside_its_picture(run: Path, meal: Meal, tmp_path: Path) -> None:
    """As JSON, CSV and COCO, whose masks are those of the label map; a photo that was refused is in the first two."""
    out = tmp_path / "out"
    broken = meal.photo.parent / "broken.jpg"
    broken.write_bytes(b"no photo")
    shutil.copyfile(meal.label_map, broken.with_name("broken.mask.png"))
    folder = str(meal.photo.parent)
    command = ["predict", folder, "--run", str(run), "--mask", folder, "--all", "--out", str(out), "--format", "json"]
    printed = json.loads(CliRunner().invoke(app, command).stdout)
    assert json.loads((out / "predictions.json").read_text()) == printed
    assert [record["picture"] for record in printed] == [None, str(out / "meal-foods.png")]
    with (out / "predictions.csv").open() as file:
        assert [row["photo"] for row in csv.DictReader(file)] == [str(broken), *[str(meal.photo)] * 2]
    tool = COCO(out / "coco.json")
    assert [each["file_name"] for each in tool.loadImgs(tool.getImgIds())] == [str(meal.photo)]
    label_map = read_label_map(meal.label_map)
    for value, each, food in zip((1, 2), tool.loadAnns(tool.getAnnIds()), printed[1]["foods"], strict=True):
        np.testing.assert_array_equal(tool.annToMask(each), label_map == value)
        assert tool.cats[each["category_id"]]["name"] == food["top"][0]["category"]
        x0, y0, x1, y1 = food["box"]
        assert (label_map[y0 : y1 + 1, x0 : x1 + 1] == value).sum() == (label_map == value).sum() == each["area"]


def test_a_bad_photo_does_not_lose_the_answers_of_others(run: Path, meal: Meal) -> None:
    """Every photo of the folder has its line, the refused one with the reason; the command ends refused."""
    folder = meal.photo.parent
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    write_meal(folder, "second")
    command = ["predict", str(folder), "--run", str(run), *RED_BOX, "--format", "csv", "--out", str(folder / "out")]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, PhotoError)
    assert str(result.exception) == "1 of 3 photos refused"
    assert "broken.jpg: " in result.stderr
    rows = list(csv.DictReader(result.stdout.splitlines()))
    assert [(Path(row["photo"]).name, bool(row["category_1"]), bool(row["error"])) for row in rows] == [
        ("broken.jpg", False, True),
        ("meal.png", True, False),
        ("second.png", True, False),
    ]
    drawn = {path.name for path in (folder / "out").glob("*.png")}
    assert f"picture: {folder}/out/meal-foods.png" in predict(run, str(meal.photo), *RED_BOX, *command[-2:]).stdout
    assert drawn == {"meal-foods.png", "second-foods.png"}  # one picture a photo, unless more are asked for


def test_a_folder_of_masks_answers_for_a_folder_of_photos(run: Path, meal: Meal) -> None:
    """Each photo with the mask of its stem."""
    folder = meal.photo.parent
    write_meal(folder, "second")
    text = predict(run, str(folder), "--mask", str(folder), "--all", "--format", "csv").stdout
    rows = list(csv.DictReader(text.splitlines()))
    assert [(Path(row["photo"]).name, row["region"]) for row in rows] == [
        (name, f"value {value}") for name in ("meal.png", "second.png") for value in (1, 2)
    ]


def test_a_folder_of_masks_inside_the_photos_holds_no_photos(run: Path, meal: Meal) -> None:
    """Nor do the pictures of an earlier call."""
    folder = meal.photo.parent
    write_meal(folder / "day1", "other")
    (folder / "masks/day1").mkdir(parents=True)
    meal.label_map.rename(folder / "masks/meal.png")
    (folder / "day1/other.mask.png").rename(folder / "masks/day1/other.png")
    arguments = (str(folder), "--mask", str(folder / "masks"), "--all", "--format", "csv", "--out", str(folder / "out"))
    for _ in range(2):
        rows = list(csv.DictReader(predict(run, *arguments).stdout.splitlines()))
        assert [Path(row["photo"]).name for row in rows] == ["other.png", "other.png", "meal.png", "meal.png"]


def test_mistakes_are_refused_in_one_line(run: Path, meal: Meal, tmp_path: Path) -> None:
    """What, where, what to do."""
    photo = str(meal.photo)
    assert "say where the food is" in refused(run, photo)
    assert "--heat draws pictures; say where by --out" in refused(run, photo, *RED_BOX, "--heat")
    assert "is not inside the photo of 60 x 40 pixels" in refused(run, photo, "--box", "60,0,80,10")
    assert "absent.jpg: no such file" in refused(run, "absent.jpg", *RED_BOX)
    assert "run.json: absent" in refused(tmp_path, photo, *RED_BOX)
    assert "several foods, 1, 2" in refused(run, photo, "--mask", str(meal.label_map))
    assert "--all: grabcut finds no food by itself" in refused(run, photo, "--all")


def test_a_mistyped_path_is_refused_before_torch_is_loaded(run: Path, meal: Meal, root: Path) -> None:
    """Which takes seconds; the message names what was typed."""
    runs, photo, out = run.parent, str(meal.photo), str(meal.photo)
    refusals = {
        f"--run {runs}: a folder of 1 run, not a run; name one, for instance {run}": (photo, "--run", str(runs)),
        "--run absent: no such folder": (photo, "--run", "absent"),
        f"--run {photo}: a file": (photo, "--run", photo),
        "https://example.org/run: run is a file or folder": (photo, "--run", "https://example.org/run"),
        "--out ": (photo, "--run", str(run), "--out", out),
        "absent.jpg: no such file": ("absent.jpg", "--run", str(run)),
    }
    code = """import sys
from pipeline.__main__ import main
for arguments in ARGUMENTS:
    sys.argv = ["rvernet", "predict", *arguments]
    try:
        main()
    except SystemExit as end:
        print(end.code, "torch" in sys.modules)
""".replace("ARGUMENTS", repr([[*RED_BOX, *arguments] for arguments in refusals.values()]))
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.splitlines() == ["1 False"] * len(refusals)
    for words, said in zip(refusals, done.stderr.splitlines(), strict=True):
        assert said.startswith(f"error: {words}")


def test_one_photo_s_failure_is_its_own(run: Path, meal: Meal) -> None:
    """A name that no file of pictures can have, a file that vanished, one behind a file instead of a folder."""
    folder = meal.photo.parent
    long = meal.photo.rename(folder / f"{'x' * 248}.png")
    second = write_meal(folder, "second").photo
    photos = (str(long), str(folder / "absent.png"), str(second / "a.png"), "y" * 300, str(second))
    command = ["predict", *photos, "--run", str(run), *RED_BOX, "--format", "json", "--out", str(folder / "out")]
    result = CliRunner().invoke(app, command)
    assert str(result.exception) == "4 of 5 photos refused"
    records = json.loads(result.stdout)
    assert [bool(record["error"]) for record in records] == [True, True, True, True, False]
    assert "File name too long" in records[0]["error"]


def test_a_photo_named_twice_is_answered_once(run: Path, meal: Meal) -> None:
    """By itself and by its folder, as typed first."""
    folder = meal.photo.parent
    named = (str(folder), str(meal.photo), f"{folder}/../{folder.name}/{meal.photo.name}")
    (record,) = json.loads(predict(run, *named, *RED_BOX, "--format", "json").stdout)
    assert record["photo"] == str(meal.photo)


def test_a_name_that_is_not_utf_8_is_a_refused_photo(run: Path, meal: Meal) -> None:
    """With a line of its own, its name escaped."""
    folder = meal.photo.parent
    (folder / os.fsdecode(b"caf\xe9.png")).write_bytes(meal.photo.read_bytes())
    command = ["predict", str(folder), "--run", str(run), *RED_BOX, "--format", "json"]
    result = CliRunner().invoke(app, command)
    assert str(result.exception) == "1 of 2 photos refused"
    records = {record["photo"]: record["error"] for record in json.loads(result.stdout)}
    odd = f"{folder}/caf\\udce9.png"
    assert records == {odd: f"{odd}: its name is not UTF-8; rename the file", str(meal.photo): None}


def test_a_refused_photo_leaves_no_pictures(run: Path, meal: Meal) -> None:
    """Those with short names had been written when the longest could not be."""
    folder = meal.photo.parent
    long = meal.photo.rename(folder / f"{'x' * 240}.png")  # fits with -1-mask.png, not with -1-extra_roi.png
    command = ["predict", str(long), "--run", str(run), *RED_BOX, "--views", "--out", str(folder / "out")]
    result = CliRunner().invoke(app, command)
    assert "File name too long" in str(result.exception)
    assert list((folder / "out").glob("*.png")) == []


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_what_ends_the_work_leaves_a_listing_that_can_be_read(
    run: Path, meal: Meal, failure: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk meets every photo; what was answered before stays."""
    second = write_meal(meal.photo.parent, "second").photo
    write = predict_step.drawing.write_picture

    def filling(image: np.ndarray, path: Path) -> str:
        if path.name.startswith("second"):
            raise failure
        return write(image, path)

    monkeypatch.setattr(predict_step.drawing, "write_picture", filling)
    photos = (str(meal.photo), str(second), str(write_meal(meal.photo.parent, "third").photo))
    command = ["predict", *photos, "--run", str(run), *RED_BOX, "--format", "json", "--out", str(second.parent / "o")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code != 0
    assert [record["photo"] for record in json.loads(result.stdout)] == [str(meal.photo)]


def test_wrong_usage_has_its_own_exit_code(run: Path, meal: Meal) -> None:
    """2, as everywhere."""
    assert predict(run, str(meal.photo), *RED_BOX, "--format", "xml").exit_code == 2
    assert CliRunner().invoke(app, ["predict", str(meal.photo)]).exit_code == 2


def test_a_run_needs_neither_dvc_nor_a_checkout_around_it(run: Path, meal: Meal, root: Path, tmp_path: Path) -> None:
    """In an empty folder, from a wheel with every file of the package and no other, without the graph's packages."""
    source, empty = tmp_path / "source", tmp_path / "empty"
    empty.mkdir()
    shutil.copytree(root / "pipeline", source / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "requirements.txt", "LICENSE"):
        shutil.copyfile(root / name, source / name)
    files = {path.relative_to(source).as_posix() for path in (source / "pipeline").rglob("*") if path.is_file()}
    build = "from setuptools import build_meta; build_meta.build_wheel('dist')"
    subprocess.run([sys.executable, "-c", build], cwd=source, capture_output=True, check=True)  # noqa: S603
    (wheel,) = (source / "dist").glob("rvernet_pipeline-*-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path / "installed")
        assert {name for name in packed.namelist() if ".dist-info/" not in name} == files
    names = ("dvc", "dvclive", "segment_anything", "ultralytics", "starlette", "uvicorn", "onnx", "datasets")
    blocked = dict.fromkeys(names)
    code = (
        f"import sys; sys.modules.update({blocked!r}); from pipeline.cli.app import app; "
        "from pipeline.runtime.console import "
        f"run_stage; sys.argv[0] = 'rvernet'; run_stage(app)"
    )
    command = [sys.executable, "-c", code, "predict", str(meal.photo), "--run", str(run), *RED_BOX]
    done = subprocess.run(  # noqa: S603
        command,
        cwd=empty,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "installed")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("tiny+tiny-all, which sees food and surroundings: Its record does not say what")
    assert done.stderr.count("\n") == 1
    assert done.stdout.count("%  ") == len(CATEGORIES)
    assert list(empty.iterdir()) == []
