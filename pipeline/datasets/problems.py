"""Problems of a data set: kinds, their fixes, and single findings."""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Literal, NamedTuple, Self

from pipeline.runtime.errors import DatasetError, printable


class ProblemKind(StrEnum):
    """Kinds of problems, by their names in `summary.json`, each with its advice."""

    fix: str

    def __new__(cls, name: str, fix: str) -> Self:
        """Make the kind of this name."""
        kind = str.__new__(cls, name)
        kind._value_, kind.fix = name, fix
        return kind

    LISTED_TWICE = "listed_twice", "remove the repeated line"
    IN_BOTH_SPLITS = "in_both_splits", "keep the line in one of ImageSets/train.txt and ImageSets/test.txt"
    FILES_ABSENT = "files_absent", "add photo and label map, or remove the line"
    PHOTO_ABSENT = "photo_absent", "add the photo, or remove what names it"
    LABEL_MAP_ABSENT = "label_map_absent", "add the label map, or remove the photo's line from ImageSets"
    AMBIGUOUS_FILES = "ambiguous_files", "keep one of the files"
    NAME_UNUSABLE = "name_unusable", "rename the file"
    PHOTO_UNREADABLE = "photo_unreadable", "replace the photo, or remove it"
    LABEL_MAP_UNREADABLE = "label_map_unreadable", "write category ids as a gray PNG of 8 or 16 bits"
    MASK_UNREADABLE = "mask_unreadable", "paint the food white on black, as a PNG without transparency"
    SIZE_MISMATCH = "size_mismatch", "draw the mask on the upright photo at its full size"
    UNKNOWN_CATEGORY = "unknown_category", "add the id to category_id.txt, or mend the label map (0 is background)"
    LABEL_MAP_EMPTY = "label_map_empty", "mark a food in it, or remove the photo's line from ImageSets"
    ANNOTATION_ABSENT = "annotation_absent", "add <stem>.mask.png or a row in prompts.csv beside the photo"
    PROMPTS_UNREADABLE = "prompts_unreadable", "use the columns photo,kind,x0,y0,x1,y1 with kind point or box"
    PROMPT_OUTSIDE = "prompt_outside", "give pixels of the upright photo, counted from 0"
    PHOTO_ID_TWICE = "photo_id_twice", "rename one of the photos"
    NOT_LISTED = "not_listed", "name it in ImageSets, in the annotation or in its extra category, or delete it"
    EXIF_IGNORED = "exif_ignored", "nothing: the mask was turned along with its photo"
    OBJECT_UNUSABLE = "object_unusable", "mend or remove the object in its annotation file"
    OBJECT_WITHOUT_MASK = "object_without_mask", "outline the object, if it is to be a sample"
    CROWD = "crowd", "outline its objects one by one, if they are to be samples"
    PHOTO_WITHOUT_OBJECTS = "photo_without_objects", "outline an object, if the photo is to be used"


SELF_EXPLAINED = {kind for kind in ProblemKind if kind.endswith("_unreadable")}  # their details include the advice
HARMLESS = frozenset({ProblemKind.NOT_LISTED, ProblemKind.EXIF_IGNORED})  # kinds that cost no sample
NOTES = HARMLESS | {ProblemKind.OBJECT_WITHOUT_MASK, ProblemKind.CROWD, ProblemKind.PHOTO_WITHOUT_OBJECTS}
"""Kinds that never stop the stage: they are usual in their format."""


class Problem(NamedTuple):
    """One finding."""

    kind: ProblemKind
    file: str  # path below data/raw
    detail: str  # what is wrong with the file; of kinds `SELF_EXPLAINED`, also what to do

    def message(self, raw: Path) -> str:
        """Return file, detail and advice in one line that can be printed."""
        fix = "" if self.kind in SELF_EXPLAINED else f"; {self.kind.fix}"
        return printable(f"{raw / self.file}: {self.detail}{fix}")


class ProblemLog:
    """Collect problems, or stop at the first, as `index.on_error` says."""

    def __init__(self, on_error: Literal["fail", "skip_empty", "skip"], raw: Path) -> None:
        """Start empty.

        Args:
            on_error: `fail` raises at the first problem that is not a note, `skip_empty` allows photos without food,
                `skip` collects all.
            raw: Folder of the files, for messages.
        """
        self._on_error, self._raw = on_error, raw
        self._problems: list[Problem] = []

    def add(self, *problems: Problem) -> None:
        """Collect problems; raise `DatasetError` at the first that the policy does not allow."""
        for problem in problems:
            empty, allowed = problem.kind is ProblemKind.LABEL_MAP_EMPTY, self._on_error
            if allowed != "skip" and problem.kind not in NOTES and not (empty and allowed == "skip_empty"):
                fix = f"or set index.on_error to {'skip_empty' if empty else 'skip'} to go on without it"
                raise DatasetError(f"{problem.message(self._raw)}; {fix}")
            self._problems.append(problem)

    def __iter__(self) -> Iterator[Problem]:
        """Yield the problems sorted by kind, file and detail."""
        return iter(sorted(self._problems))
