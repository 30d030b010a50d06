"""Each stage gets exactly the settings it depends on."""

from pathlib import Path

from pipeline.params.base import load_settings
from pipeline.params.model import BackboneParams, TrainParams
from pipeline.steps.configure import configure
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


def test_another_data_sets_value_changes_nothing_on_the_demo(root: Path, tmp_path: Path) -> None:
    """Tuning the real study leaves the demo's results cached."""
    assert changed_files(root, tmp_path, train__epochs={"default": 99, "demo": 10}) <= {"train.json"}
    assert changed_files(root, tmp_path, pair__image_size={"default": 448, "demo": 64}) == set()


def test_the_seed_reaches_training_and_what_draws_by_it_only(root: Path, tmp_path: Path) -> None:
    """Photos, masks and shards do not depend on the seed."""
    drawing = ("train", "perturb", "explain", "agreement", "transfer", "report")
    assert changed_files(root, tmp_path, seed=1) == {f"{stage}.json" for stage in drawing}


def test_a_mask_sources_settings_are_its_own(root: Path, tmp_path: Path) -> None:
    """A parameter of SAM touches neither FastSAM nor the annotation, and where its weights lie only fetching them."""
    assert changed_files(root, tmp_path, masks__sam__prompts_per_chunk=8) == {"masks/sam.json"}
    assert changed_files(root, tmp_path, masks__sam__weights="/there.pth") == {"mask_weights/sam.json"}
    assert changed_files(root, tmp_path, masks__prompts__kind="point") == {"masks/sam.json", "masks/fastsam.json"}


def test_choosing_a_mask_source_changes_no_settings(root: Path, tmp_path: Path) -> None:
    """The choice is in the graph, not in the settings: switching back is a cache hit."""
    assert changed_files(root, tmp_path, masks__source="sam") == set()
    assert changed_files(root, tmp_path, masks__train="fastsam") == set()


def test_an_annotation_that_is_a_reference_only_says_so(root: Path, tmp_path: Path) -> None:
    """It may then leave clicks of photos without annotation unanswered."""
    assert changed_files(root, tmp_path, masks__source="sam", masks__train="fastsam") == {"masks/annotation.json"}


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
