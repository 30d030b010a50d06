"""Palettes of label maps, held against each other: ids are read by index, so the same index must mean the same food."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline.arrays import LabelMap
from pipeline.errors import DatasetError
from pipeline.imaging.decode import Colour


@dataclass(frozen=True, slots=True)
class UsedPalette:
    """The palette of one label map."""

    path: str
    """Path of the label map below data/raw."""
    colours: tuple[Colour, ...]
    """Colour by index."""
    used: Mapping[int, Colour]
    """Colour by index of those that pixels have."""


def used_palette(path: str, colours: Sequence[Colour] | None, label_map: LabelMap) -> UsedPalette | None:
    """Return the palette of a label map, None where it has none; ids without an entry have no colour."""
    if colours is None:
        return None
    used = {value: colours[value] for value in np.unique(label_map).tolist() if value < len(colours)}
    return UsedPalette(path, tuple(colours), used)


@dataclass(slots=True)
class Palettes:
    """All palettes of a data set so far."""

    _of_index: dict[int, tuple[Colour, str]] = field(default_factory=dict)
    _of_colour: dict[Colour, tuple[int, str]] = field(default_factory=dict)

    def add(self, palette: UsedPalette) -> None:
        """Note the palette of the next label map.

        Raises:
            DatasetError: If an earlier file gives an index that both use another colour, or a colour another index.
        """
        for index, colour in palette.used.items():
            known, first = self._of_index.setdefault(index, (colour, palette.path))
            number, where = self._of_colour.setdefault(colour, (index, palette.path))
            if known != colour:
                raise _contradicting(palette.path, f"index {index} is {_hex(colour)}, in {first} {_hex(known)}")
            # A table may have a colour twice, if it has it at both indices.
            if number != index and palette.colours[number : number + 1] != (colour,):
                raise _contradicting(palette.path, f"{_hex(colour)} is index {index}, in {where} index {number}")


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _contradicting(path: str, what: str) -> DatasetError:
    return DatasetError(
        f"{path}: palettes differ between label maps, so an index is no category id ({what}); write category ids as "
        "8 bit gray PNG, all by the same numbers"
    )
