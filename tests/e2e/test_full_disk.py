"""A disk that fills while a stage writes: one line that says where and how much, and the same bytes with room again."""

import re
from collections.abc import Iterator
from random import Random

import pytest

from tests.e2e.checkout import Checkout
from tests.guarded import without_network
from tests.torture.disk import SmallDisk, one_of_every_kind, own_disk

pytestmark = pytest.mark.e2e
KINDS = ("configure", "download", "index", "mask_weights", "segment", "pair", "weights", "probe", "train", "ambiguous",
         "evaluate", "perturb", "explain", "agreement", "transfer", "distill", "repeats", "summary",
         "report")  # fmt: skip


@pytest.fixture(scope="module")
def small(study: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    """Return a finished study on a disk of its own."""
    disk = tmp_path_factory.mktemp("disk") / "disk"
    with own_disk(disk):
        small = SmallDisk(study, disk)
        yield small
        small.forked.end()


def test_every_kind_of_stage_is_tried(study: Checkout) -> None:
    """A new stage joins by itself; `repeat` needs `seeds`, and trains as `train` does."""
    assert {stage.name.partition("@")[0] for stage in one_of_every_kind(study)} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stage_on_a_full_disk_says_so_and_goes_on(kind: str, study: Checkout, small: SmallDisk) -> None:
    """At a random moment of its writing."""
    (stage,) = (stage for stage in one_of_every_kind(study) if stage.name.partition("@")[0] == kind)
    small.fill(stage, Random(kind))  # noqa: S311 - a moment, no secret


def test_a_study_that_the_disk_has_no_room_for_is_told_before(small: SmallDisk) -> None:
    """By the exit code, too, with what would be fetched from where; nothing asks the network."""
    text = small.copy.refused(*without_network(), "python", "-m", "pipeline", "plan", "-S", "dataset=foodseg103")
    assert re.search(r"disk: .* to keep and .* for a while.*; .* free at /.*: DOES NOT FIT; make room", text)
    assert "download: foodseg103 from research.larc.smu.edu.sg" in text
    assert "download: weights of vit from huggingface.co, 346MB" in text
