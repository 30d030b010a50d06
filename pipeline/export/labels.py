"""Category names as folders, and the order of folders as class indices."""

from collections.abc import Sequence

from pipeline.errors import ExportError

FORBIDDEN = str.maketrans(dict.fromkeys('/\\:*?"<>|\0', " "))
"""Characters that some file system does not take in a name."""


def folder_names(categories: Sequence[str]) -> tuple[str, ...]:
    """Return a folder name for every category, in their order.

    Raises:
        ExportError: If two categories would share a folder, or one has no letter left.
    """
    names = tuple(" ".join(category.translate(FORBIDDEN).split()).strip(". ") for category in categories)
    for category, name in zip(categories, names, strict=True):
        if not name or sum(other.casefold() == name.casefold() for other in names) > 1:
            raise ExportError(f"category {category!r} gives no folder name of its own; rename it in category_id.txt")
    return names
