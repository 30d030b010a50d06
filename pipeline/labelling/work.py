"""The work of one labeller: a photo at a time, whose every change is stored at once. Independent of HTTP."""

from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import cv2
import numpy as np
from PIL import Image as Pillow
from pydantic import BaseModel, ConfigDict, Field

from pipeline.arrays import Image, Mask
from pipeline.datasets.prompts import Prompt
from pipeline.imaging.components import region_of
from pipeline.imaging.decode import read_photo
from pipeline.imaging.drawing import edge, encode_picture
from pipeline.inference.regions import box_between, prompted_regions
from pipeline.labelling.folder import ChangedError, LabelFolder, LabelledFood, Labels, PhotoFile, category_name
from pipeline.runtime.console import note
from pipeline.runtime.errors import BusyError, DatasetError, PhotoError
from pipeline.segmentation.mask_source import MaskSource

if TYPE_CHECKING:  # a page without a run never imports torch
    from pipeline.inference.predictor import Run
    from pipeline.labelling.review import DisputedLabel

SHOWN_SIDE, THUMBNAIL = 1024, 160  # longest sides in pixels of the shown photo and of the picture of one food
COLOURS = ((0, 114, 178), (230, 159, 0), (204, 121, 167), (0, 158, 115), (213, 94, 0), (86, 180, 233), (240, 228, 66))
"""Of foods in their order, over again after the last; told apart by colour-blind people (Okabe and Ito)."""
TINT = 110  # opacity of masks in [0, 255]
MOST_UNDONE = 50  # steps that can be undone
SUGGESTIONS = 9  # one a digit
Share: TypeAlias = float


class Action(BaseModel):
    """What the page asks for; positions and lengths are shares of the photo's width and height."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    do: Literal["open", "next", "previous", "mark", "whole", "stroke", "name", "remove", "undo", "empty"]
    photo: int | None = Field(default=None, ge=0)  # number of the shown photo, or one to open; None: the first not done
    revision: str = ""  # of the photo as it is shown
    food: int | None = Field(default=None, ge=0)  # number of the food; None paints a new one
    places: tuple[tuple[Share, Share], ...] = Field(default=(), max_length=20_000)
    """One point, two corners of a box, or the places of the brush."""
    radius: Share = Field(default=0, ge=0, le=1)  # of the brush, by the width
    erase: bool = False
    category: str = Field(default="", max_length=200)


@dataclass(slots=True)
class OpenPhoto:
    """The photo at work; its lock is held."""

    number: int
    picture: Image
    labels: Labels
    lock: ExitStack
    before: deque[tuple[LabelledFood, ...]] = field(default_factory=lambda: deque(maxlen=MOST_UNDONE))
    guesses: dict[int, tuple[Mask, list[tuple[str, float | None]]]] = field(default_factory=dict)
    """What the run says of each food, best first, by the `id` of its mask, which is kept so that no other gets it."""


@dataclass(slots=True)
class Labeller:
    """Photos, in the order of work, and what is needed to label them."""

    folder: LabelFolder
    photos: Sequence[PhotoFile]
    source: MaskSource
    run: "Run | None" = None
    disagreements: Sequence["DisputedLabel"] = ()  # labels that the run disagrees with, for the page's list
    opened: OpenPhoto | None = None
    unreadable: set[int] = field(default_factory=set)  # numbers of photos of which the terminal has said so

    def act(self, action: Action) -> dict[str, Any]:
        """Do what the page asks for, store it, and return what it shows.

        Raises:
            DatasetError: If it cannot be done, or the photo was changed by somebody else.
            BusyError: If somebody else has the photo open.
        """
        match action.do:
            case "open" if action.photo is not None:
                self._open(action.photo)
            case "open":
                return self._move(-1, 1)
            case "previous":
                return self._move(self._number(action), -1)
            case "next" | "empty":
                self._finish(self._current(action), empty=action.do == "empty")
                return self._move(self._number(action), 1)
            case "undo":
                current = self._current(action)
                if not current.before:
                    raise DatasetError("Nothing to undo")
                self._store(current, current.before.pop(), undo=True)
            case _:
                current = self._current(action)
                self._store(current, self._changed(current, action))
        return self._state()

    def picture(self, number: int) -> bytes:
        """Return the shown photo as WebP."""
        shown = Pillow.fromarray(self._shown(number).picture)
        shown.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
        return encode_picture(shown, "WEBP", quality=88, method=1)

    def overlay(self, number: int) -> bytes:
        """Return the masks as PNG of the shown photo's size, tinted inside, with a white and a black line around."""
        current = self._shown(number)
        height, width = _shown_size(current.picture)
        pixels = np.zeros((height, width, 4), np.uint8)
        for place, food in enumerate(current.labels.foods):
            mask = cv2.resize(food.mask.view(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST).view(np.bool_)
            pixels[mask] = (*COLOURS[place % len(COLOURS)], TINT)
            pixels[edge(np.pad(~mask, 1, constant_values=True))[1:-1, 1:-1]] = (0, 0, 0, 255)
            pixels[edge(mask)] = 255
        return encode_picture(Pillow.fromarray(pixels), "PNG", compress_level=1)

    def thumbnail(self, number: int, food: int) -> bytes:
        """Return one food of a photo with its surroundings as a small WebP file; DatasetError if it is gone."""
        photo = self.photos[min(number, len(self.photos) - 1)]
        foods = self.folder.load(photo).foods
        if food >= len(foods):
            raise DatasetError("This food is gone")
        picture, region = read_photo(self.folder.picture_of(photo)), region_of(foods[food].mask)
        rest = picture * 0.45
        shown = Pillow.fromarray(np.where(foods[food].mask[..., np.newaxis], picture, rest).astype(np.uint8))
        x, y = (region.x1 - region.x0) // 4 + 8, (region.y1 - region.y0) // 4 + 8
        right, bottom = min(shown.width, region.x1 + x), min(shown.height, region.y1 + y)
        shown = shown.crop((max(0, region.x0 - x), max(0, region.y0 - y), right, bottom))
        shown.thumbnail((THUMBNAIL, THUMBNAIL))
        return encode_picture(shown, "WEBP", quality=80)

    def _number(self, action: Action) -> int:
        return -1 if action.photo is None else action.photo

    def _current(self, action: Action) -> OpenPhoto:
        """Return the open photo if it is still as the page shows it."""
        current = self._at(self._number(action))
        if action.revision != current.labels.revision:
            raise ChangedError("This photo was changed elsewhere; it is shown as it is now")
        return current

    def _at(self, number: int) -> OpenPhoto:
        return self.opened if self.opened is not None and self.opened.number == number else self._open(number)

    def _shown(self, number: int) -> OpenPhoto:
        """Return the open photo; a late request for the one before must not open that again."""
        if self.opened is None or self.opened.number != number:
            raise DatasetError("This photo is no longer open")
        return self.opened

    def _open(self, number: int) -> OpenPhoto:
        """Lock and read a photo; the one before is unlocked."""
        if not 0 <= number < len(self.photos):
            raise DatasetError(f"There are {len(self.photos)} photos")
        photo = self.photos[number]
        if self.opened is not None:
            self.opened.lock.close()
            self.opened = None
        with ExitStack() as lock:
            try:
                lock.enter_context(self.folder.open(photo))
            except BusyError as error:
                raise BusyError(f"{photo.name}: somebody else has it open; press Next, or wait for them") from error
            picture, labels = read_photo(self.folder.picture_of(photo)), self.folder.load(photo)
            if labels.foods and labels.foods[0].mask.shape != picture.shape[:2]:
                raise PhotoError(f"{photo.path}: its size is no longer that of its masks; bring the old photo back")
            self.opened = OpenPhoto(number, picture, labels, lock.pop_all())
        return self.opened

    def _move(self, start: int, step: int) -> dict[str, Any]:
        """Open the next photo that nobody else has open, forwards one that is not done if there is one."""
        done, said = self.folder.count().done, ""
        later = range(start + 1, len(self.photos))
        waiting = [number for number in (*later, *range(start)) if self.photos[number].name not in done]
        for number in dict.fromkeys((*waiting, *later)) if step > 0 else range(start - 1, -1, -1):
            try:
                self._open(number)
            except BusyError:
                said += f"{self.photos[number].name} is open elsewhere. "
            except PhotoError as error:
                said += f"Left out: {self.photos[number].name} ({error}). "
                if number not in self.unreadable:
                    note(f"left out: {error}")
                self.unreadable.add(number)
            else:
                return self._state(said + ("No other photo waits." if step > 0 and number not in waiting else ""))
        if start < 0:
            raise DatasetError(f"{said}No photo is left")
        self._at(start)
        return self._state(said + ("No other photo waits." if step > 0 else "This is the first photo."))

    def _finish(self, current: OpenPhoto, *, empty: bool) -> None:
        """Mark the photo done: with all foods named, or empty; one without foods is only passed by otherwise."""
        foods = current.labels.foods
        if unnamed := [str(number) for number, food in enumerate(foods, 1) if food.category is None]:
            raise DatasetError(f"Food {', '.join(unnamed)} has no name yet: name it or remove it")
        if empty and foods:
            raise DatasetError("There are marked foods: remove them first")
        if (foods or empty) and not current.labels.done:
            self._store(current, foods, done=True)

    def _store(
        self, current: OpenPhoto, foods: tuple[LabelledFood, ...], *, done: bool | None = None, undo: bool = False
    ) -> None:
        """Store the foods of the open photo, which then is as done as before if all have names."""
        labels = Labels(foods, current.labels.done if done is None else done, current.labels.revision)
        if done is None and (not foods or any(food.category is None for food in foods)):
            labels = labels._replace(done=False)
        revision = self.folder.save(self.photos[current.number], labels)
        if not undo and done is None:
            current.before.append(current.labels.foods)
        current.labels = labels._replace(revision=revision)

    def _changed(self, current: OpenPhoto, action: Action) -> tuple[LabelledFood, ...]:
        """Return the foods after an action on one of them."""
        foods, (height, width) = list(current.labels.foods), current.picture.shape[:2]
        if action.food is not None and action.food >= len(foods):
            raise DatasetError("This food is gone")
        number = len(foods) if action.food is None else action.food
        match action.do:
            case "mark":
                foods.append(LabelledFood(self._found(current.picture, action.places)))
            case "whole":
                foods.append(LabelledFood(np.ones((height, width), np.bool_)))
            case "stroke":
                old = foods[number] if number < len(foods) else LabelledFood(np.zeros((height, width), np.bool_))
                foods[number:] = [old._replace(mask=_painted(old.mask, action)), *foods[number + 1 :]]
            case "name" if number < len(foods):
                foods[number] = foods[number]._replace(category=category_name(action.category))
            case "remove" if number < len(foods):
                del foods[number]
            case _:
                raise DatasetError("Mark a food first")
        return tuple(foods)

    def _found(self, picture: Image, places: Sequence[tuple[Share, Share]]) -> Mask:
        """Return the mask that the source finds at a point or in a box, cut at the border of the photo."""
        height, width = picture.shape[:2]
        corners = [
            (min(width - 1, max(0, int(x * width))), min(height - 1, max(0, int(y * height)))) for x, y in places
        ]
        if len(corners) == 1 and self.source.name != "grabcut":
            prompt = Prompt("point", (float(corners[0][0]), float(corners[0][1])))
        else:
            first, second = (*corners, *corners, (0, 0), (0, 0))[:2]
            prompt = box_between(first, second)
        return prompted_regions(self.source, picture, [prompt])[0].mask

    def _suggested(self, current: OpenPhoto) -> list[list[tuple[str, float | None]]]:
        """Return what the run says of every food, best first; without a percentage where it is too unsure."""
        if self.run is None:
            return [[] for _ in current.labels.foods]
        new = [food.mask for food in current.labels.foods if id(food.mask) not in current.guesses]
        for mask, prediction in zip(new, self.run.predict(current.picture, new), strict=True):
            sure = self.run.accepts(prediction) is not False
            best = [(guess.category, guess.probability if sure else None) for guess in prediction.top(SUGGESTIONS)]
            current.guesses[id(mask)] = mask, best
        current.guesses = {id(food.mask): current.guesses[id(food.mask)] for food in current.labels.foods}
        return [current.guesses[id(food.mask)][1] for food in current.labels.foods]

    def _state(self, said: str = "") -> dict[str, Any]:
        """Return what the page shows."""
        assert self.opened is not None  # noqa: S101 - every action opens a photo or raises
        current, stored = self.opened, self.folder.count()
        (height, width), (rows, columns) = current.picture.shape[:2], _shown_size(current.picture)
        foods = []
        for place, (food, guesses) in enumerate(zip(current.labels.foods, self._suggested(current), strict=True)):
            region, colour = region_of(food.mask), COLOURS[place % len(COLOURS)]
            middle = (region.x0 + region.x1) / 2 / width, (region.y0 + region.y1) / 2 / height
            foods.append(
                {"category": food.category, "at": middle, "colour": "#{:02x}{:02x}{:02x}".format(*colour)}
                | {"share": float(food.mask.mean()), "guesses": guesses}
            )
        known = () if self.run is None else self.run.class_names
        return {
            "photo": current.number,
            "name": self.photos[current.number].name,
            "revision": current.labels.revision,
            "is_done": current.labels.done,
            "width": columns,
            "height": rows,
            "foods": foods,
            "can_undo": bool(current.before),
            "photos": len(self.photos),
            "done": sum(photo.name in stored.done for photo in self.photos),
            "counts": stored.foods.most_common(),
            "categories": [*dict.fromkeys([*(name for name, _ in stored.foods.most_common()), *sorted(known)])],
            "checked": [self.photos[each.photo].name in stored.done for each in self.disagreements],
            "said": said,
        }


def _painted(mask: Mask, action: Action) -> Mask:
    """Return the mask after a stroke of the brush; DatasetError if nothing is left."""
    height, width = mask.shape
    points = np.array([(x * width, y * height) for x, y in action.places], np.float64).reshape(-1, 1, 2)
    points = np.clip(points, -width, 2 * max(width, height)).round().astype(np.int32)
    painted, radius = mask.astype(np.uint8), max(1, round(action.radius * width))
    if len(points):
        cv2.polylines(painted, [points], isClosed=False, color=int(not action.erase), thickness=2 * radius)
        for ((x, y),) in points[[0, -1]]:
            cv2.circle(painted, (int(x), int(y)), radius, int(not action.erase), -1)
    if not painted.any():
        raise DatasetError("Nothing of the food would be left; remove it instead")
    return painted.view(np.bool_)


def _shown_size(picture: Image) -> tuple[int, int]:
    """Return height and width of the shown photo."""
    scale = min(1.0, SHOWN_SIDE / max(picture.shape[:2]))
    return max(1, round(picture.shape[0] * scale)), max(1, round(picture.shape[1] * scale))
