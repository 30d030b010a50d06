"""Draw samples as the models see them, beside the photos they come from."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from PIL import Image as Pillow

from pipeline.datasets.index import IndexedSample, Sample
from pipeline.datasets.photos import picture_of
from pipeline.datasets.shards import Shards
from pipeline.imaging.drawing import SheetRow, contact_sheet
from pipeline.imaging.letterbox import Rect, letterbox
from pipeline.runtime.errors import ManifestError, ParamsError

PAD = 255
"""Gray level around the photo, unlike the padding of the cut-outs."""


def write_sheet(chosen: Sequence[IndexedSample], *, raw: Path, shards: Path, sheet: Path) -> None:
    """Write a contact sheet of samples; the suffix of `sheet` selects the format.

    Args:
        chosen: Samples and their rows in the shards.
        raw: Folder of photos, read anew, so that a mix-up of photos and cut-outs shows.
        shards: Folder of shards.
        sheet: Picture to write.

    Raises:
        DatasetError: If a photo is absent or another one than stage `index` read.
        ManifestError: If shards and sample table disagree.
        ParamsError: If `sheet` has no ending that names a picture format.
    """
    if sheet.suffix.lower() not in Pillow.registered_extensions():
        raise ParamsError(f"{sheet}: unknown kind of picture; end the name in .png, .jpg or .webp")
    reader = Shards(shards)
    rows = [
        row
        for split, of_split in groupby(chosen, key=lambda indexed: indexed.sample.split)
        for row in _rows(reader, split, tuple(of_split), raw)
    ]
    sheet.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(contact_sheet(rows)).save(sheet)


def _rows(reader: Shards, split: str, chosen: Sequence[IndexedSample], raw: Path) -> list[SheetRow]:
    size, batch = reader.image_size, reader.select(split, [indexed.row for indexed in chosen])
    if batch.sample_ids != tuple(indexed.sample.sample_id for indexed in chosen):
        raise ManifestError(f"{reader.folder}: made from another sample table; run `dvc repro pair`")
    return [
        SheetRow(
            photo=letterbox(picture_of(indexed.sample, raw), size=size, pad=PAD, rect=Rect(*batch.rects[row].tolist())),
            mask=batch.masks[row],
            roi=batch.roi[row],
            extra_roi=batch.extra_roi[row],
            caption=_caption(indexed.sample),
        )
        for row, indexed in enumerate(chosen)
    ]


def _caption(sample: Sample) -> str:
    area = f"{sample.mask_share:.1%} of the photo" if sample.prompts is None else "from prompts"
    return "   ".join((sample.sample_id, sample.category, area, *sample.flags))
