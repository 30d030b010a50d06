"""The splits of a data set, and how one is drawn from another.

A draw is stratified by the rarest category of each photo, and depends on the photos and the seed alone: not on their
order, nor on anything but counts of the other photos.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from math import ceil, floor
from typing import NamedTuple

SPLITS = ("train", "validation", "test")
"""In the order of rows. Photos of validation come from train, unless the data set has a validation split itself."""

COPY_MARK = ".rf."  # ends the name of the original in names of Roboflow's augmented copies, which stay in one split


def original_of(path: str) -> str | None:
    """Return the start of the path that an augmented copy shares with its original; None if the photo is no copy."""
    original, mark, _ = path.partition(COPY_MARK)
    return original if mark else None


class Drawable(NamedTuple):
    """A photo that may be drawn."""

    photo_id: str  # id of the photo, or its path
    content: str  # equal for photos that stay together: of the same bytes where those are known, and augmented copies
    categories: frozenset[int]  # category ids of its samples, at least one


def draw_photos(photos: Iterable[Drawable], share: float, seed: int) -> frozenset[str]:
    """Draw a share of the photos; those that are left have a photo of every category.

    Photos of equal content count once and are drawn together. Of a stratum of n photos at most the share of n, rounded
    up, is drawn, and at least the share of n, rounded down, where that leaves a photo of every category. Over all
    strata the share, in [0, 1), is met to half a photo where the strata allow it. Returned are photo ids.
    """
    groups: defaultdict[str, list[Drawable]] = defaultdict(list)
    for photo in photos:
        groups[photo.content].append(photo)
    foods = {content: frozenset[int]().union(*(each.categories for each in group)) for content, group in groups.items()}
    total = Counter(category for categories in foods.values() for category in categories)
    strata: defaultdict[tuple[int, int], list[str]] = defaultdict(list)
    for content, categories in foods.items():
        strata[min((total[category], category) for category in categories)].append(content)

    def rank(content: str) -> bytes:
        first = min(photo.photo_id for photo in groups[content])
        return hashlib.sha256(f"{seed}/{first}".encode()).digest()

    drawn, seen, left = list[str](), 0, total.copy()
    for _, stratum in sorted(strata.items()):
        seen += len(stratum)
        quota = len(drawn) + min(floor(share * seen + 0.5) - len(drawn), ceil(share * len(stratum)))
        for content in sorted(stratum, key=rank):
            if len(drawn) < quota and all(left[category] > 1 for category in foods[content]):
                drawn.append(content)
                left -= Counter(foods[content])
    return frozenset(photo.photo_id for content in drawn for photo in groups[content])
