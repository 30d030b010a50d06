"""Each stage gets exactly the settings it depends on."""

import json
import shutil
from pathlib import Path

import pytest

from pipeline.params.base import load_settings
from pipeline.params.model import BackboneParams, TrainParams
from pipeline.runtime.errors import ParamsError
from pipeline.steps.configure import configure
from tests.raw_folder import RawFolder, labels_of
from tests.unit.params.test_study import edited


def settings_of(folder: Path) -> dict[str, bytes]:
    """Return every settings file by its name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.json"))}


def changed_files(root: Path, folder: Path, **changes: object) -> set[str]:
    """Return the settings files that an edit of params.yaml changes."""
    configure(params=root / "params.yaml", settings=folder / "before")
    configure(params=edited(root, folder, **changes), settings=folder / "after")
    before, after = settings_of(folder / "before"), settings_of(folder / "after")
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def test_a_backbones_settings_are_its_own(root: Path, tmp_path: Path) -> None:
    """Editing one backbone leaves every other file alone."""
    assert changed_files(root, tmp_path, backbones__vit__timm="vit_small_patch16_224") == {"backbones/vit.json"}


def test_the_variant_and_the_speed_change_no_settings(root: Path, tmp_path: Path) -> None:
    """Roi, workers and device are nobody's dependency."""
    assert changed_files(root, tmp_path, roi="deit", runtime__workers=7, runtime__device="cpu") == set()


def test_what_decides_digits_of_a_run_reruns_it(root: Path, tmp_path: Path) -> None:
    """A GPU that is asked for by name trains in bf16, and several processes split sums and dropout masks."""
    assert changed_files(root, tmp_path, runtime__device="cuda") == {"train.json"}
    assert changed_files(root, tmp_path, runtime__devices=2) == {"train.json"}
    assert changed_files(root, tmp_path, train__precision="fp32") == set()


def test_another_data_sets_value_changes_nothing_on_the_demo(root: Path, tmp_path: Path) -> None:
    """Tuning the real study leaves the demo's results cached."""
    assert changed_files(root, tmp_path, train__epochs={"default": 99, "demo": 10}) <= {"train.json"}
    assert changed_files(root, tmp_path, pair__image_size={"default": 448, "demo": 64}) == set()


def test_the_seed_reaches_training_and_what_draws_by_it_only(root: Path, tmp_path: Path) -> None:
    """Photos, masks and shards do not depend on the seed."""
    drawing = ("train", "probe", "perturb", "explain", "agreement", "transfer", "report")
    assert changed_files(root, tmp_path, seed=1) == {f"{stage}.json" for stage in drawing}


def test_a_mask_sources_settings_are_its_own(root: Path, tmp_path: Path) -> None:
    """A parameter of SAM touches neither FastSAM nor the annotation, and where its weights lie only fetching them."""
    assert changed_files(root, tmp_path, masks__sam__prompts_per_chunk=8) == {"masks/sam.json"}
    assert changed_files(root, tmp_path, masks__sam__weights="/there.pth") == {"mask_weights/sam.json"}
    assert changed_files(root, tmp_path, masks__prompts__kind="point") == {
        f"masks/{source}.json" for source in ("sam", "fastsam", "grabcut", "sam2", "sam3")
    }


def test_one_line_adds_a_mask_source_of_transformers(root: Path, tmp_path: Path) -> None:
    """With settings of its own; of a folder here, its files are part of them."""
    changes = {"masks__transformers__edgetam": {"model": "owner/name"}, "masks__eval": "edgetam"}
    assert changed_files(root, tmp_path, **changes) == {"masks/edgetam.json", "mask_weights/edgetam.json"}
    assert changed_files(root, tmp_path, masks__transformers__sam2__threads=4) == {"masks/sam2.json"}
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_text("{}")
    (tmp_path / "model/readme.txt").write_text("not read")
    one = looked(root, tmp_path, masks__transformers__sam2={"model": str(tmp_path / "model")})
    (tmp_path / "model/readme.txt").write_text("not read either")
    assert looked(root, tmp_path, masks__transformers__sam2={"model": str(tmp_path / "model")}) == one
    (tmp_path / "model/model.safetensors").write_bytes(b"tensors")
    other = looked(root, tmp_path, masks__transformers__sam2={"model": str(tmp_path / "model")})
    assert differing(one, other) == {"mask_weights/sam2.json"}


def test_choosing_a_mask_source_changes_no_settings(root: Path, tmp_path: Path) -> None:
    """The choice is in the graph, not in the settings: switching back is a cache hit."""
    assert changed_files(root, tmp_path, masks__eval="sam") == set()
    assert changed_files(root, tmp_path, masks__train="fastsam") == set()


def test_an_annotation_that_is_a_reference_only_says_so(root: Path, tmp_path: Path) -> None:
    """It may then leave clicks of photos without annotation unanswered."""
    assert changed_files(root, tmp_path, masks__eval="sam", masks__train="fastsam") == {"masks/annotation.json"}


def test_the_settings_of_annotation_stay_as_they_were(root: Path, tmp_path: Path) -> None:
    """Their hash is part of every mask and shard that was ever made from annotation."""
    configure(params=root / "params.yaml", settings=tmp_path)
    text = (tmp_path / "masks/annotation.json").read_text()
    assert text == '{\n "source": "annotation",\n "photos_per_file": 64\n}\n'


def test_settings_read_back_as_they_were_checked(root: Path, tmp_path: Path) -> None:
    """Write then read is the identity, for a section and for an entry."""
    configure(params=root / "params.yaml", settings=tmp_path)
    train = load_settings(TrainParams, tmp_path / "train.json")
    assert train == TrainParams.model_validate_json(train.model_dump_json())
    assert load_settings(BackboneParams, tmp_path / "backbones/none.json").timm is None


def test_a_removed_backbone_leaves_no_stale_file(root: Path, tmp_path: Path) -> None:
    """The folder holds what the parameters name, nothing older."""
    (tmp_path / "settings/backbones").mkdir(parents=True)
    (tmp_path / "settings/backbones/old.json").write_text("{}")
    configure(params=root / "params.yaml", settings=tmp_path / "settings")
    assert not (tmp_path / "settings/backbones/old.json").exists()


def plan_of(root: Path, folder: Path, **changes: object) -> bytes:
    """Return the plan of repetitions that an edit of params.yaml makes."""
    plan = folder / "repeats/plan.json"
    configure(params=edited(root, folder, **changes), settings=folder / "settings", repetitions=plan)
    return plan.read_bytes()


def test_a_plan_changes_with_what_is_asked_for_only(root: Path, tmp_path: Path) -> None:
    """Naming other runs, or another seed of the runs, matters once there are seeds to repeat them under."""
    plain = plan_of(root, tmp_path)
    assert plan_of(root, tmp_path, repeat__runs=["vit+vit-all"], seed=4) == plain
    asked = plan_of(root, tmp_path, seeds=[1, 2])
    assert len({plain, asked, plan_of(root, tmp_path, seeds=[1, 2], repeat__runs=["vit+vit-all"])}) == 3


def test_seeds_and_teachers_are_nobody_elses_settings(root: Path, tmp_path: Path) -> None:
    """Asking for more trains nothing that is there again."""
    assert changed_files(root, tmp_path, seeds=[1, 2], repeat__runs=["vit+vit-all"]) == set()
    assert changed_files(root, tmp_path, distill__teacher="mobilenetv2") == {"distill.json"}


def test_one_more_backbone_probes_no_other_again(root: Path, tmp_path: Path) -> None:
    """The graph has a stage for each, with settings of all; the report shows one more."""
    assert changed_files(root, tmp_path, probe__backbones=["mobilenetv2", "vit"]) == {"report.json"}
    assert changed_files(root, tmp_path, probe__folds=0) == {"probe.json"}


def test_only_runs_can_be_repeated(root: Path, tmp_path: Path) -> None:
    """The paper's or the variant, and the message says what was perhaps meant."""
    with pytest.raises(ParamsError, match=r"repeat.runs: 'vit\+vit-al' is .*did you mean 'vit\+vit-all'"):
        plan_of(root, tmp_path, seeds=[1], repeat__runs=["vit+vit-al"])
    plan_of(root, tmp_path, seeds=[1], repeat__runs=["mixer+mixer-all"], roi="mixer", extra_roi="mixer")


def looked(root: Path, folder: Path, **changes: object) -> dict[str, bytes]:
    """Return the settings of a study whose record of sources lies in `folder`."""
    shutil.rmtree(folder / "settings", ignore_errors=True)
    params, sources = edited(root, folder, **changes), folder / "results/sources.json"
    configure(params=params, settings=folder / "settings", sources=sources)
    return settings_of(folder / "settings")


def differing(before: dict[str, bytes], after: dict[str, bytes]) -> set[str]:
    """Return the settings files that differ."""
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


@pytest.fixture
def outside(tmp_path: Path) -> dict[str, Path]:
    """Make a file or folder for every parameter that may name one."""
    extra = RawFolder(tmp_path / "raw").add_extra("ketchup", "train", "IMG_1", labels_of(1)).parent
    paths = {"dataset": tmp_path / "a.zip", "vit": tmp_path / "vit.pth", "sam": tmp_path / "sam.pth"}
    for path in paths.values():
        path.write_bytes(b"first")
    return paths | {"extra": extra}


def changes_of(outside: dict[str, Path]) -> dict[str, object]:
    """Return the parameters that name them."""
    return {
        "dataset": str(outside["dataset"]),
        "download__extra": {"ketchup": str(outside["extra"])},
        "backbones__vit__weights": str(outside["vit"]),
        "masks__sam__weights": str(outside["sam"]),
    }


@pytest.mark.parametrize(
    ("place", "settings"),
    [
        ("dataset", "download.json"),
        ("extra", "download.json"),
        ("vit", "backbones/vit.json"),
        ("sam", "mask_weights/sam.json"),
    ],
)
def test_data_outside_the_checkout_is_in_the_settings_of_the_stage_that_reads_it(
    root: Path, tmp_path: Path, outside: dict[str, Path], place: str, settings: str
) -> None:
    """Nothing changes while nothing changes there, or if it is written again as it was; then one stage's settings."""
    before = looked(root, tmp_path, **changes_of(outside))
    assert looked(root, tmp_path, **changes_of(outside)) == before
    (outside["dataset"]).write_bytes(b"first")
    assert looked(root, tmp_path, **changes_of(outside)) == before
    (outside["extra"] / "train/prompts.csv" if place == "extra" else outside[place]).write_bytes(b"other")
    assert differing(before, looked(root, tmp_path, **changes_of(outside))) == {settings}


def test_what_is_absent_here_is_as_recorded(root: Path, tmp_path: Path, outside: dict[str, Path]) -> None:
    """A clone that has pulled the outputs needs no source; git carries the record."""
    before = looked(root, tmp_path, **changes_of(outside))
    for name in ("dataset", "vit", "sam"):
        outside[name].unlink()
    shutil.rmtree(outside["extra"])
    assert looked(root, tmp_path, **changes_of(outside)) == before
    (tmp_path / "results/sources.json").unlink()
    with pytest.raises(ParamsError, match=r"dataset '.*a\.zip' is .*nor an existing path"):
        looked(root, tmp_path, **changes_of(outside))


def test_a_record_speaks_for_its_own_path_only(root: Path, tmp_path: Path, outside: dict[str, Path]) -> None:
    """Another path that is not here is a mistake, or for the stage to say that needs it."""
    before = looked(root, tmp_path, backbones__vit__weights=str(outside["vit"]))
    assert b"content" in before["backbones/vit.json"]
    after = looked(root, tmp_path, backbones__vit__weights=str(tmp_path / "absent.pth"))
    assert b"content" not in after["backbones/vit.json"]


def test_a_study_without_local_sources_has_the_settings_it_had(root: Path, tmp_path: Path) -> None:
    """The demo, and weights from elsewhere; what git carries says so."""
    values = {"backbones__vit__weights": "https://example.org/vit.pth", "backbones__deit__weights": "hub"}
    assert not [name for name, text in looked(root, tmp_path, **values).items() if b"content" in text]
    assert json.loads((tmp_path / "results/sources.json").read_text()) == {"sources": {}}


def test_hashes_are_found_not_given(root: Path, tmp_path: Path) -> None:
    """A hash to insist on has a key of its own."""
    with pytest.raises(ParamsError, match=r"backbones\.vit\.content: is found by stage `configure`; remove it"):
        looked(root, tmp_path, backbones__vit__content={"weights": "0" * 64})
