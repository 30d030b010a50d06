"""Photos with the same bytes, within a split or across: test photos must not be trained on unnoticed."""

from dataclasses import dataclass, field, replace

from pipeline.datasets.samples import Sample
from pipeline.datasets.scan import ScannedPhoto
from pipeline.params.base import Section


class DuplicatePair(Section):
    """Two photos of the same bytes."""

    first: str
    """Photo id of the first photo of these bytes."""
    second: str
    """Photo id of a later one; of n equal photos n - 1 pairs are listed, each with the first."""
    across_splits: bool
    """Whether one is in train and one in test."""
    annotations_agree: bool | None
    """Whether both annotations say the same of every pixel; null where prompts stand in for one."""


@dataclass(frozen=True, slots=True)
class _Seen:
    photo_id: str
    split: str
    annotation_sha256: str | None


@dataclass(slots=True)
class Duplicates:
    """Finds equal photos while all photos pass by once; holds one entry a photo."""

    pairs: list[DuplicatePair] = field(default_factory=list)
    """Pairs in the order of their later photo."""
    _first: dict[str, _Seen] = field(default_factory=dict)
    _splits: dict[str, set[str]] = field(default_factory=dict)

    def add(self, photo: ScannedPhoto) -> None:
        """Note the next photo."""
        sample = photo.samples[0]
        seen = _Seen(sample.photo_id, sample.split, photo.annotation_sha256)
        first = self._first.setdefault(sample.photo_sha256, seen)
        if first is not seen:
            self.pairs.append(_pair(first, seen))
            self._splits.setdefault(sample.photo_sha256, {first.split}).add(seen.split)

    def flag(self, sample: Sample) -> Sample:
        """Return `sample` with flags `duplicate_photo` and `duplicate_across_splits`, once all photos are noted."""
        splits = self._splits.get(sample.photo_sha256, set())
        names = ("duplicate_photo",) * bool(splits) + ("duplicate_across_splits",) * (len(splits) > 1)
        return replace(sample, flags=sample.flags + names)


def _pair(first: _Seen, second: _Seen) -> DuplicatePair:
    hashes = (first.annotation_sha256, second.annotation_sha256)
    return DuplicatePair(
        first=first.photo_id,
        second=second.photo_id,
        across_splits=first.split != second.split,
        annotations_agree=None if None in hashes else hashes[0] == hashes[1],
    )
