"""Whatever text stands where parameters or records should: they are taken or refused in one line, never half."""

import json
import re
import zipfile
from io import BytesIO, StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from pipeline.acquisition.archive import ArchiveLimits, extract_archive
from pipeline.models.artifact import RunCard, read_run_card
from pipeline.models.card import RUN_CARD
from pipeline.params.study import Study, load_study
from pipeline.runtime.errors import PipelineError
from pipeline.runtime.manifest import MANIFEST, FileEntry, Manifest, open_verified, read_manifest, write_manifest
from pipeline.steps.configure import sections
from tests.small_run import run_card

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
PARAMS = YAML(typ="safe", pure=True).load(ROOT / "params.yaml")


def text_of(values: dict[str, Any]) -> str:
    """Return values as YAML."""
    text = StringIO()
    YAML(typ="safe", pure=True).dump(values, text)
    return text.getvalue()


TEXTS = {key: text_of({key: value}) for key, value in PARAMS.items()}
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
PLACES = [(key,) for key in PARAMS] + [
    (key, inner) for key, value in PARAMS.items() if isinstance(value, dict) for inner in value
]
OFFICIAL = ("category_id.txt", "ImageSets/train.txt", "ImageSets/test.txt", *(
    f"Images/{kind}/{split}/1.png" for kind in ("img_dir", "ann_dir") for split in ("train", "test")
))  # fmt: skip


def one_line(error: PipelineError) -> None:
    """See that a message is fit for a terminal."""
    assert str(error).isprintable()
    assert str(error)


def refuse(constant: str) -> None:
    """Fail on NaN and infinities."""
    raise AssertionError(constant)


@settings(max_examples=150)
@given(st.sampled_from(PLACES), VALUES)
def test_any_value_in_any_place_of_the_parameters_is_taken_or_named(place: tuple[str, ...], value: Any) -> None:
    """What is taken can be given to the stages as JSON, without NaN or infinity."""
    changed = value if len(place) == 1 else PARAMS[place[0]] | {place[1]: value}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "params.yaml"
        path.write_text("".join((TEXTS | {place[0]: text_of({place[0]: changed})}).values()), encoding="utf-8")
        try:
            study: Study = load_study(path)
        except PipelineError as error:
            one_line(error)
            return
    for settings_file in sections(study).values():
        json.loads(settings_file.model_dump_json(), parse_constant=refuse)


@settings(max_examples=100)
@given(st.text(max_size=200) | st.binary(max_size=100))
def test_any_text_is_a_parameter_file_or_refused(text: str | bytes) -> None:
    """YAML has many ways to be wrong."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "params.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode(errors="surrogatepass"))
        try:
            load_study(path)
        except PipelineError as error:
            one_line(error)


def replaced(document: Any, path: list[Any], value: Any) -> Any:
    """Return a document with one value replaced."""
    copy = json.loads(json.dumps(document))
    section = copy
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    return copy


def places(document: Any, above: tuple[Any, ...] = ()) -> list[list[Any]]:
    """Return where the values of a document stand."""
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [place for key, value in items for place in ([*above, key], *places(value, (*above, key)))]


MANIFEST_DOCUMENT = Manifest(
    kind="shards",
    schema_version=1,
    source="annotation",
    image_size=16,
    categories=("bread",),
    settings_sha256="0" * 64,
    files=(FileEntry(name="test-00000.parquet", split="test", rows=1, sha256="0" * 64),),
).model_dump(mode="json")
CARD_DOCUMENT = run_card(("roi", "extra_roi")).model_dump(mode="json")


@settings(max_examples=150)
@given(st.sampled_from(places(MANIFEST_DOCUMENT)), VALUES)
def test_a_manifest_with_any_value_is_taken_whole_or_refused(place: list[Any], value: Any) -> None:
    """And no name in it leads out of the folder."""
    with TemporaryDirectory() as folder:
        below = Path(folder) / "shards"
        below.mkdir()
        (below / MANIFEST).write_text(json.dumps(replaced(MANIFEST_DOCUMENT, place, value)))
        try:
            manifest = read_manifest(below, kind="shards", schema_version=1)
            for entry in manifest.files:
                assert (below / entry.name).parent == below
                with open_verified(below, entry):
                    pass
        except PipelineError as error:
            one_line(error)
            return
        write_manifest(manifest, below)
        assert read_manifest(below, kind="shards", schema_version=1) == manifest


@settings(max_examples=150)
@given(st.sampled_from(places(CARD_DOCUMENT)), VALUES)
def test_a_run_card_with_any_value_is_taken_whole_or_refused(place: list[Any], value: Any) -> None:
    """Reading what it would write gives it back."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / RUN_CARD
        path.write_text(json.dumps(replaced(CARD_DOCUMENT, place, value)))
        try:
            card = read_run_card(Path(folder))
        except PipelineError as error:
            one_line(error)
            return
        path.write_text(card.model_dump_json())
        assert read_run_card(Path(folder)) == card
        assert isinstance(card, RunCard)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@settings(max_examples=100)
@given(st.lists(st.text(max_size=12), max_size=4), st.integers(0, 0xFFFF), st.integers(0, 99), st.data())
def test_no_archive_writes_outside_its_folder(names: list[str], mode: int, method: int, data: st.DataObject) -> None:
    """Entries of any name, mode, method and size, and any byte of the archive changed afterwards."""
    content = BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in [*OFFICIAL, *(name for name in names if name and "\0" not in name)]:
            archive.writestr(zipfile.ZipInfo(name.encode(errors="replace").decode()), b"content")
        archive.infolist()[-1].external_attr = mode << 16
        archive.infolist()[-1].compress_type = method
    packed = bytearray(content.getvalue())
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(0, 255))
    with TemporaryDirectory() as folder:
        path, out = Path(folder) / "a.zip", Path(folder) / "inner/out"
        path.write_bytes(packed)
        try:
            limits = ArchiveLimits(max_bytes=10_000, max_files=100)
            extract_archive(path, out, password=None, limits=limits, report=lambda *_: None)
        except PipelineError as error:
            one_line(error)
        outside = {p for p in Path(folder).rglob("*") if p.is_file() and not p.is_relative_to(out)}
        assert outside == {path}
        kept = re.compile(r"(Images/(img|ann)_dir|ImageSets)/.+|category_id\.txt|Read[Mm]e\.txt")
        assert all(kept.fullmatch(p.relative_to(out).as_posix()) for p in out.rglob("*") if p.is_file())
