"""What the official release of FoodSeg103 holds."""

from collections.abc import Collection, Mapping

CATEGORIES: tuple[str, ...] = tuple(
    """\
background, candy, egg tart, french fries, chocolate, biscuit, popcorn, pudding, ice cream, cheese butter, cake, wine,
milkshake, coffee, juice, milk, tea, almond, red beans, cashew, dried cranberries, soy, walnut, peanut, egg, apple,
date, apricot, avocado, banana, strawberry, cherry, blueberry, raspberry, mango, olives, peach, lemon, pear, fig,
pineapple, grape, kiwi, melon, orange, watermelon, steak, pork, chicken duck, sausage, fried meat, lamb, sauce, crab,
fish, shellfish, shrimp, soup, bread, corn, hamburg, pizza, hanamaki baozi, wonton dumplings, pasta, noodles, rice,
pie, tofu, eggplant, potato, garlic, cauliflower, tomato, kelp, seaweed, spring onion, rape, ginger, okra, lettuce,
pumpkin, cucumber, white radish, carrot, asparagus, bamboo shoots, broccoli, celery stick, cilantro mint, snow peas,
cabbage, bean sprouts, onion, pepper, green beans, french beans, king oyster mushroom, shiitake, enoki mushroom,
oyster mushroom, white button mushroom, salad, other ingredients""".replace("\n", " ").split(", ")
)
"""Names by id, as in the official archive."""
COUNTS = {"train": (4983, 18179), "test": (2135, 7697)}  # photos and samples of each official split


def compare_with_release(counts: Mapping[str, tuple[int, int]], categories: Collection[str]) -> str:
    """Return a sentence on whether a data set is the whole official release, and what it lacks or has beyond it.

    Args:
        counts: Photos and samples by official split, without the user's extra categories.
        categories: Names, without the background and extra ones.
    """
    differences = []
    for split, official in COUNTS.items():
        for what, wanted, found in zip(("photos", "samples"), official, counts[split], strict=True):
            if found < wanted:
                differences.append(f"{split} lacks {wanted - found:,} of {wanted:,} {what}")
            elif found > wanted:
                differences.append(f"{split} has {found - wanted:,} {what} beyond the {wanted:,}")
    if absent := sorted({*CATEGORIES[1:]} - {*categories}):
        differences.append(f"without {', '.join(absent)}")
    if beyond := sorted({*categories} - {*CATEGORIES}):
        differences.append(f"beyond its categories: {', '.join(beyond)}")
    if differences:
        return f"This is not the official release of FoodSeg103 as a whole: {'; '.join(differences)}."
    (train, train_samples), (test, test_samples) = COUNTS["train"], COUNTS["test"]
    return (
        f"This is the official release of FoodSeg103, complete: {train:,} train and {test:,} test photos, "
        f"{train_samples:,} and {test_samples:,} samples, {len(CATEGORIES) - 1} categories."
    )
