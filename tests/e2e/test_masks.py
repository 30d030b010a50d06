"""Other masks: what runs, what comes back from the cache, and that the report says what they are worth."""

import json

import pytest

from tests.e2e.checkout import Checkout, ran

pytestmark = pytest.mark.e2e
RUN = "mobilenetv2+vit-all"
GOALS = ("agreement@sam", "transfer@sam", f"evaluate@{RUN}")


@pytest.fixture(scope="module")
def copy(study: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Return a twin of the study for the tests of this file."""
    return study.twin(tmp_path_factory.mktemp("masks") / "copy")


def test_judging_on_other_masks_trains_nothing(copy: Checkout) -> None:
    """Masks and shards of SAM, the same runs on them, agreement, verdict; then back without any work."""
    params = copy.folder / "params.yaml"
    annotation = params.read_text()
    params.write_text(annotation.replace("eval: annotation", "eval: sam"))
    made = ran(copy.call("dvc", "repro", *GOALS))
    assert sorted(made) == sorted(["configure", "mask_weights@sam", "segment@sam", "pair@sam", *GOALS])

    told = copy.call("python", "-m", "pipeline", "report", "--out", "out", "--source", "sam", "--run", RUN)
    assert "1 run" in told
    page = (copy.folder / "out/index.html").read_text()
    assert "weights of sam are random: these masks mean nothing" in page
    assert "Verdict: the discrepancies are" in page
    results = json.loads((copy.folder / "out/results.json").read_text())
    samples = {name: results["masks"][name] for name in ("agreement", "transfer")}
    assert samples["agreement"]["samples"] > samples["transfer"]["runs"][0]["samples"] > 0

    params.write_text(annotation)
    back = copy.call("dvc", "repro", "agreement@annotation", "transfer@annotation", f"evaluate@{RUN}")
    assert set(ran(back)) <= {"configure"}


def test_a_parameter_of_sam_touches_nothing_of_the_others(copy: Checkout) -> None:
    """FastSAM and annotation do not run again."""
    params = copy.folder / "params.yaml"
    before = params.read_text()
    params.write_text(before.replace("prompts_per_chunk: 16", "prompts_per_chunk: 4"))
    assert ran(copy.call("dvc", "repro", "pair@annotation", f"train@{RUN}")) == ["configure"]
    params.write_text(before)


def test_absent_weights_are_one_line_that_names_the_official_file(copy: Checkout) -> None:
    """No traceback, no output, and the way out."""
    params = copy.folder / "params.yaml"
    before = params.read_text()
    chosen = before.replace("eval: annotation", "eval: sam")
    chosen = chosen.replace("architecture: {default: vit_b, demo: tiny}", "architecture: vit_b")
    params.write_text(chosen.replace("weights: {default: official, demo: random}", "weights: /absent/sam.pth", 1))
    told = copy.refused("dvc", "repro", "mask_weights@sam")
    assert "error: /absent/sam.pth: no such file; fetch https://dl.fbaipublicfiles.com" in told
    assert "Traceback" not in told
    params.write_text(before)


def test_grabcut_is_a_source_of_the_graph_for_boxes_alone(copy: Checkout) -> None:
    """No weights, the stages of the others; clicks are refused before any work."""
    params = copy.folder / "params.yaml"
    before = params.read_text()
    params.write_text(before.replace("eval: annotation", "eval: grabcut"))
    assert ran(copy.call("dvc", "repro", "mask_weights@grabcut")) == ["configure", "mask_weights@grabcut"]
    stages = copy.call("dvc", "stage", "list", "--name-only").split()
    assert {f"{stage}@grabcut" for stage in ("segment", "pair", "agreement", "transfer")} <= set(stages)
    params.write_text(params.read_text().replace("kind: box ", "kind: point "))
    told = copy.refused("dvc", "repro", "agreement@grabcut")
    assert "masks.prompts.kind: point is given, and grabcut answers boxes alone; set it to box" in told
    params.write_text(before)
