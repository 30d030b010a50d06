"""Problems of a data set: kinds, their fixes, and single findings."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pipeline.runtime.errors import DatasetError, printable


class ProblemKind(StrEnum):
    """Kinds of problems, by their names in `summary.json`."""

    LISTED_TWICE = "listed_twice"
    IN_BOTH_SPLITS = "in_both_splits"
    FILES_ABSENT = "files_absent"
    PHOTO_ABSENT = "photo_absent"
    LABEL_MAP_ABSENT = "label_map_absent"
    AMBIGUOUS_FILES = "ambiguous_files"
    NAME_UNUSABLE = "name_unusable"
    PHOTO_UNREADABLE = "photo_unreadable"
    LABEL_MAP_UNREADABLE = "label_map_unreadable"
    MASK_UNREADABLE = "mask_unreadable"
    SIZE_MISMATCH = "size_mismatch"
    UNKNOWN_CATEGORY = "unknown_category"
    LABEL_MAP_EMPTY = "label_map_empty"
    ANNOTATION_ABSENT = "annotation_absent"
    PROMPTS_UNREADABLE = "prompts_unreadable"
    PROMPT_OUTSIDE = "prompt_outside"
    PHOTO_ID_TWICE = "photo_id_twice"
    NOT_LISTED = "not_listed"
    EXIF_IGNORED = "exif_ignored"
    OBJECT_UNUSABLE = "object_unusable"
    OBJECT_WITHOUT_MASK = "object_without_mask"
    CROWD = "crowd"
    PHOTO_WITHOUT_OBJECTS = "photo_without_objects"


FIXES: dict[ProblemKind, str] = {
    ProblemKind.LISTED_TWICE: "remove the repeated line",
    ProblemKind.IN_BOTH_SPLITS: "keep the line in one of ImageSets/train.txt and ImageSets/test.txt",
    ProblemKind.FILES_ABSENT: "add photo and label map, or remove the line",
    ProblemKind.PHOTO_ABSENT: "add the photo, or remove what names it",
    ProblemKind.LABEL_MAP_ABSENT: "add the label map, or remove the photo's line from ImageSets",
    ProblemKind.AMBIGUOUS_FILES: "keep one of the files",
    ProblemKind.NAME_UNUSABLE: "rename the file",
    ProblemKind.PHOTO_UNREADABLE: "replace the photo, or remove it",
    ProblemKind.LABEL_MAP_UNREADABLE: "write category ids as a gray PNG of 8 or 16 bits",
    ProblemKind.MASK_UNREADABLE: "paint the food white on black, as a PNG without transparency",
    ProblemKind.SIZE_MISMATCH: "draw the mask on the upright photo at its full size",
    ProblemKind.UNKNOWN_CATEGORY: "add the id to category_id.txt, or mend the label map (0 is background)",
    ProblemKind.LABEL_MAP_EMPTY: "mark a food in it, or remove the photo's line from ImageSets",
    ProblemKind.ANNOTATION_ABSENT: "add <stem>.mask.png or a row in prompts.csv beside the photo",
    ProblemKind.PROMPTS_UNREADABLE: "use the columns photo,kind,x0,y0,x1,y1 with kind point or box",
    ProblemKind.PROMPT_OUTSIDE: "give pixels of the upright photo, counted from 0",
    ProblemKind.PHOTO_ID_TWICE: "rename one of the photos",
    ProblemKind.NOT_LISTED: "name it in ImageSets, in the annotation or in its extra category, or delete it",
    ProblemKind.EXIF_IGNORED: "nothing: the mask was turned along with its photo",
    ProblemKind.OBJECT_UNUSABLE: "mend or remove the object in its annotation file",
    ProblemKind.OBJECT_WITHOUT_MASK: "outline the object, if it is to be a sample",
    ProblemKind.CROWD: "outline its objects one by one, if they are to be samples",
    ProblemKind.PHOTO_WITHOUT_OBJECTS: "outline an object, if the photo is to be used",
}
"""Advice by kind."""

SELF_EXPLAINED = frozenset(
    {ProblemKind.PHOTO_UNREADABLE, ProblemKind.LABEL_MAP_UNREADABLE, ProblemKind.MASK_UNREADABLE}
    | {ProblemKind.PROMPTS_UNREADABLE}
)
"""Kinds whose details include the advice."""

HARMLESS = frozenset({ProblemKind.NOT_LISTED, ProblemKind.EXIF_IGNORED})
"""Kinds that cost no sample."""
NOTES = HARMLESS | {ProblemKind.OBJECT_WITHOUT_MASK, ProblemKind.CROWD, ProblemKind.PHOTO_WITHOUT_OBJECTS}
"""Kinds that never stop the stage: they are usual in their format."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One finding."""

    kind: ProblemKind
    """Kind of the problem."""
    file: str
    """Path below data/raw."""
    detail: str
    """What is wrong with the file; of kinds `SELF_EXPLAINED`, also what to do."""

    def message(self, raw: Path) -> str:
        """Return file, detail and advice in one line that can be printed."""
        fix = "" if self.kind in SELF_EXPLAINED else f"; {FIXES[self.kind]}"
        return printable(f"{raw / self.file}: {self.detail}{fix}")


class ProblemLog:
    """Collect problems, or stop at the first, as `index.on_error` says."""

    def __init__(self, on_error: Literal["fail", "skip_empty", "skip"], raw: Path) -> None:
        """Start empty.

        Args:
            on_error: `fail` raises at the first problem that is not a note; `skip_empty` also allows photos without
                food; `skip` collects all.
            raw: Folder of the files, for messages.
        """
        self._on_error, self._raw = on_error, raw
        self._problems: list[Problem] = []

    def add(self, problem: Problem) -> None:
        """Collect one problem; raise `DatasetError` if the policy does not allow it."""
        empty = problem.kind is ProblemKind.LABEL_MAP_EMPTY
        if self._on_error != "skip" and problem.kind not in NOTES and not (empty and self._on_error == "skip_empty"):
            policy = "skip_empty" if empty else "skip"
            raise DatasetError(f"{problem.message(self._raw)}; or set index.on_error to {policy} to go on without it")
        self._problems.append(problem)

    def extend(self, problems: Iterable[Problem]) -> None:
        """Collect several problems; see `add`."""
        for problem in problems:
            self.add(problem)

    def __iter__(self) -> Iterator[Problem]:
        """Yield the problems sorted by kind, file and detail."""
        return iter(sorted(self._problems))
