"""A run as a folder for the hub."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from pipeline.export.hub import model_card, write_hub
from pipeline.inference.facts import RunFacts
from pipeline.inference.predictor import open_run
from pipeline.models.artifact import RunCard
from pipeline.models.card import BackboneCard
from pipeline.params.stages import EvaluateParams
from pipeline.runtime.errors import ManifestError
from pipeline.steps.evaluate import evaluate
from tests.raw_folder import noise
from tests.small_run import CATEGORIES, random_batch, write_small_run, write_small_shards


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a run, its evaluation and its export."""
    folder = tmp_path_factory.mktemp("hub")
    run = write_small_run(folder / "run", ("roi", "extra_roi"))
    shards = write_small_shards(folder / "shards", [random_batch(20)])
    params = EvaluateParams(batch_size=8, threads=1, ece_bins=5, top_confusions=3)
    evaluate(params, shards=shards, run=run, output=folder / "evaluation", device="cpu")
    files = write_hub(run, folder / "out", evaluation=folder / "evaluation", index=folder / "index", licence="other")
    assert set(files) == {path.name for path in (folder / "out").iterdir()}
    return folder


def test_the_model_card_says_that_weights_are_shared(tmp_path: Path) -> None:
    """In its first paragraph and in the recipe; a run with weights for each branch says neither."""
    evaluation, index = tmp_path / "evaluation", tmp_path / "index"
    for shared in (True, False):
        run = write_small_run(tmp_path / f"run {shared}", ("roi", "extra_roi"), shared=shared)
        write_hub(run, tmp_path / f"{shared}", evaluation=evaluation, index=index, licence="other")
        card = (tmp_path / f"{shared}" / "README.md").read_text()
        assert ("Both are one network with one set of weights." in card.split("##")[0]) == shared
        assert ("| share branches | True |" in card) == shared


def test_the_folder_is_a_run_like_the_one_it_came_from(exported: Path) -> None:
    """`load_run` reads what was downloaded, and it answers the same."""
    photo, mask = noise(20, 30, 0), np.ones((20, 30), bool)
    answers = [open_run(exported / name, device="cpu").predict(photo, [mask])[0].logits for name in ("run", "out")]
    np.testing.assert_array_equal(*answers)


def test_what_is_known_of_the_run_travels_with_it(exported: Path) -> None:
    """Its test score is that of the folder it came from; the licence is a file that the header names."""
    assert open_run(exported / "out", device="cpu").score is not None
    header = ModelCard.load(exported / "out/README.md").data
    assert (header.license, header.license_name, header.license_link) == ("other", "see-license-file", "LICENSE.md")
    assert "Weights: see the parts they come from" in (exported / "out/LICENSE.md").read_text()


def test_the_card_names_the_data_set_and_warns_of_drawings(exported: Path, tmp_path: Path) -> None:
    """In the model index and in words; the code's address is that which the exporter gives."""
    shutil.copytree(exported / "run", tmp_path / "run")
    path = tmp_path / "run/run.json"
    photos_of = {
        "demo": "drawn by this project",
        "FoodSeg103-900": "FoodSeg103 is",
        "My Meals <b>": "their licence is not known",
    }
    for name, slug in (("demo", "demo"), ("FoodSeg103-900", "foodseg103-900"), ("My Meals <b>", "my-meals-b")):
        card = json.loads(path.read_text())
        card["train"]["data_set"], card["trained_on"] = name, {"photos": 300, "samples": 1000, "categories": 4}
        path.write_text(json.dumps(card))
        places = {"evaluation": exported / "evaluation", "index": tmp_path / "absent"}
        write_hub(tmp_path / "run", tmp_path / slug, licence="mit", code="https://example.org/code", **places)
        found = ModelCard.load(tmp_path / slug / "README.md")
        (result, *_) = found.data.eval_results
        assert (result.dataset_name, result.dataset_type) == (name, slug)
        assert ("knows drawings only" in found.text) == (name == "demo")
        licence = (tmp_path / slug / "LICENSE.md").read_text()
        assert [said for said in photos_of.values() if said in licence] == [photos_of[name]]
        assert "<b>" not in licence
        assert "<b>" not in found.text
        assert "example.org/code" in found.text
        assert "@article{" in found.text


def test_labels_are_where_other_tools_look(exported: Path) -> None:
    """By index and back."""
    config = json.loads((exported / "out/config.json").read_text())
    assert [config["id2label"][str(number)] for number in range(len(CATEGORIES))] == list(CATEGORIES)
    assert all(config["id2label"][str(number)] == name for name, number in config["label2id"].items())


def test_the_card_has_the_scores_with_intervals(exported: Path) -> None:
    """Read back as the hub reads it; the numbers are those of `evaluate`."""
    card = ModelCard.load(exported / "out/README.md")
    metrics = json.loads((exported / "evaluation/metrics.json").read_text())
    results = {result.metric_name: result.metric_value for result in card.data.eval_results}
    assert results["top-1 accuracy"] == pytest.approx(metrics["top1"], abs=1e-6)
    assert results["macro F1"] == pytest.approx(metrics["macro_f1"], abs=1e-6)
    assert results["F1 of ketchup and chili paste"] == pytest.approx(metrics["ambiguous_f1"], abs=1e-6)
    low, high = metrics["top1_interval"]
    assert f"{100 * low:.1f} % to {100 * high:.1f} %" in card.text
    assert card.data.pipeline_tag == "image-classification"


def test_the_card_says_what_it_is_made_of_and_not_good_for(exported: Path) -> None:
    """Recipe, categories, preprocessing, limits, licences."""
    text = (exported / "out/README.md").read_text()
    for word in (
        ", ".join(CATEGORIES),
        "| optimizer | adam |",
        "## Limits",
        "fitted on the validation split",
        "gray level 125",
    ):
        assert word in text
    assert "None" not in text


def test_what_is_not_known_is_said(exported: Path, tmp_path: Path) -> None:
    """Without evaluation and index the card says so; it invents no number."""
    write_hub(exported / "run", tmp_path, evaluation=tmp_path / "absent", index=tmp_path / "absent", licence="mit")
    card = ModelCard.load(tmp_path / "README.md")
    assert card.data.eval_results is None
    assert "was not evaluated where it was exported" in card.text
    assert "Not indexed where it was exported" in card.text
    assert card.data.license == "mit"


def test_weights_of_others_are_credited(exported: Path, tmp_path: Path) -> None:
    """Repository, hash and licence of what came from the hub."""
    path = exported / "run/run.json"
    card = RunCard.model_validate_json(path.read_bytes())
    fetched = {
        "source": "hub",
        "file": "timm/tiny.in1k/model.safetensors",
        "sha256": "ab" * 32,
        "licence": "apache-2.0",
    }
    backbones = {
        name: BackboneCard.model_validate(card.backbones["roi"].model_dump() | fetched) for name in card.backbones
    }
    (tmp_path / "run").mkdir()
    (tmp_path / "run/model.safetensors").write_bytes((exported / "run/model.safetensors").read_bytes())
    (tmp_path / "run/run.json").write_text(card.model_copy(update={"backbones": backbones}).model_dump_json())
    write_hub(tmp_path / "run", tmp_path / "out", evaluation=tmp_path, index=tmp_path, licence="other")
    text = (tmp_path / "out/README.md").read_text()
    assert ModelCard.load(tmp_path / "out/README.md").data.base_model == ["timm/tiny.in1k"]
    assert f"timm/tiny.in1k/model.safetensors (SHA-256 `{'ab' * 32}`) | apache-2.0 |" in text


def test_damaged_inputs_are_refused(exported: Path, tmp_path: Path) -> None:
    """A summary of something else, and a folder without a run."""
    (tmp_path / "summary.json").write_text("{}")
    with pytest.raises(ManifestError, match="run `dvc repro -f index`"):
        write_hub(exported / "run", tmp_path / "out", evaluation=tmp_path, index=tmp_path, licence="mit")
    with pytest.raises(ManifestError, match="absent"):
        write_hub(tmp_path, tmp_path / "out", evaluation=tmp_path, index=tmp_path, licence="mit")


def test_names_of_foods_are_text_in_the_card(exported: Path) -> None:
    """Whatever they are: no HTML, link or formula; a parser of CommonMark reads them back as they are."""
    evil = ("<img src=x onerror=evil()>", "[a](http://b.c)", "$^$ a\\b *c* `d` | e & f")
    run = RunCard.model_validate_json((exported / "run/run.json").read_bytes())
    card = run.model_copy(update={"class_names": evil, "ambiguous": evil[:2]})
    text = model_card(RunFacts(card, None, None), None, [f"Most samples: {evil[2]}."], "other")
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text.partition("---\n\n")[2])
    assert not [token for token in tokens if token.type == "html_block"]
    inline = [child for token in tokens for child in token.children or ()]
    assert not [child for child in inline if child.type == "html_inline"]
    lines = ["".join(child.content for child in token.children or ()) for token in tokens if token.type == "inline"]
    assert any(", ".join(evil) in line for line in lines)
    assert f"Most samples: {evil[2]}." in lines
    assert any(line.startswith("<img src=x onerror=evil()> and [a](http://b.c) are the ambiguous") for line in lines)


def test_a_run_whose_names_drive_a_terminal_is_refused(exported: Path, tmp_path: Path) -> None:
    """Runs come from others; `index` lets such names through nowhere."""
    shutil.copytree(exported / "run", tmp_path / "run")
    card = json.loads((tmp_path / "run/run.json").read_text())
    card["class_names"][0] = "\x1b[2Jbread"
    (tmp_path / "run/run.json").write_text(json.dumps(card))
    with pytest.raises(ManifestError, match=r"class_names.*cannot be printed"):
        open_run(tmp_path / "run", device="cpu")
