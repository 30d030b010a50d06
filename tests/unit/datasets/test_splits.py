"""Laws of drawing one split from another."""

from collections import Counter
from math import ceil, floor

from hypothesis import given
from hypothesis import strategies as st

from pipeline.datasets.splits import Drawable, draw_photos

FOODS = st.frozensets(st.integers(1, 8), min_size=1, max_size=4)
CONTENTS = st.integers(0, 60)
SHARES = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9])


@st.composite
def photo_sets(draw: st.DrawFn) -> list[Drawable]:
    """Return photos, some of the same bytes."""
    drawn = draw(st.lists(st.tuples(CONTENTS, FOODS), max_size=60))
    return [Drawable(f"train/{number:03d}", str(content), foods) for number, (content, foods) in enumerate(drawn)]


def foods_of(photos: list[Drawable]) -> dict[str, frozenset[int]]:
    """Return the categories of all photos of the same bytes."""
    foods: dict[str, frozenset[int]] = {}
    for photo in photos:
        foods[photo.content] = foods.get(photo.content, frozenset()) | photo.categories
    return foods


@given(photo_sets(), SHARES, st.integers(0, 3))
def test_every_category_keeps_a_photo_and_equal_photos_stay_together(
    photos: list[Drawable], share: float, seed: int
) -> None:
    """Whatever the share."""
    drawn = draw_photos(photos, share, seed)
    kept = [photo for photo in photos if photo.photo_id not in drawn]
    assert set[int]().union(*foods_of(kept).values()) == set[int]().union(*foods_of(photos).values())
    contents = {photo.content for photo in photos if photo.photo_id in drawn}
    assert contents.isdisjoint(photo.content for photo in kept)


@given(photo_sets(), SHARES, st.integers(0, 3), st.randoms())
def test_the_draw_depends_on_the_photos_alone(photos: list[Drawable], share: float, seed: int, random: object) -> None:
    """Not on their order."""
    shuffled = list(photos)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert draw_photos(shuffled, share, seed) == draw_photos(photos, share, seed)


@given(photo_sets(), SHARES, st.integers(0, 3))
def test_a_stratum_gives_its_share_to_within_one_photo(photos: list[Drawable], share: float, seed: int) -> None:
    """Photos of the same bytes count once; fewer only where a category would lose its last photo."""
    foods, drawn = foods_of(photos), draw_photos(photos, share, seed)
    total = Counter(food for each in foods.values() for food in each)
    taken = {photo.content for photo in photos if photo.photo_id in drawn}
    left = total - Counter(food for content in taken for food in foods[content])
    strata: dict[tuple[int, int], list[str]] = {}
    for content, each in foods.items():
        strata.setdefault(min((total[food], food) for food in each), []).append(content)
    for contents in strata.values():
        number = len(taken.intersection(contents))
        assert number <= ceil(share * len(contents))
        if number < floor(share * len(contents)):
            rest = set(contents) - taken
            assert all(any(left[food] == 1 for food in foods[content]) for content in rest)


def test_the_share_of_many_photos_is_met_to_half_a_photo() -> None:
    """Though every stratum alone would round down to nothing."""
    photos = [Drawable(f"train/{n}", str(n), frozenset({n // 4})) for n in range(400)]
    assert len(draw_photos(photos, 0.1, seed=0)) == 40
    assert draw_photos(photos, 0.1, seed=0) != draw_photos(photos, 0.1, seed=1)


def test_a_photo_more_moves_few_of_the_others() -> None:
    """At most one in and one out of each stratum: its order is by seed and photo id."""
    photos = [Drawable(f"train/{n}", str(n), frozenset({n % 5})) for n in range(200)]
    before = draw_photos(photos, 0.1, seed=0)
    after = draw_photos([*photos, Drawable("train/new", "new", frozenset({0}))], 0.1, seed=0)
    for food in range(5):
        moved = {name for name in before ^ after if name != "train/new" and int(name.rpartition("/")[2]) % 5 == food}
        assert len(moved) <= 2
