"""Draw samples as the models see them, beside the photos they come from."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from PIL import Image as Pillow

from pipeline.datasets.index import IndexedSample
from pipeline.datasets.photos import decode_photo_of
from pipeline.datasets.shards import Shards
from pipeline.imaging.drawing import SheetRow, contact_sheet
from pipeline.imaging.letterbox import Rect, letterbox
from pipeline.runtime.errors import ManifestError, ParamsError

PAD = 255  # gray level around the photo, unlike the padding of the cut-outs


def write_sheet(chosen: Sequence[IndexedSample], *, raw: Path, shards: Path, sheet: Path) -> None:
    """Write a contact sheet of samples; the suffix of `sheet` selects the format.

    Photos are read anew, so that a mix-up of photos and cut-outs shows.

    Raises:
        DatasetError: If a photo is absent or another one than stage `index` read.
        ManifestError: If shards and sample table disagree.
        ParamsError: If `sheet` has no ending that names a picture format.
    """
    if sheet.suffix.lower() not in Pillow.registered_extensions():
        raise ParamsError(f"{sheet}: unknown kind of picture; end the name in .png, .jpg or .webp")
    reader, rows = Shards(shards), list[SheetRow]()
    for split, grouped in groupby(chosen, key=lambda indexed: indexed.sample.split):
        of_split = tuple(grouped)
        batch = reader.select(split, [indexed.row for indexed in of_split])
        if batch.sample_ids != tuple(indexed.sample.sample_id for indexed in of_split):
            raise ManifestError(f"{reader.folder}: made from another sample table; run `dvc repro pair`")
        for row, sample in enumerate(indexed.sample for indexed in of_split):
            rect = Rect(*batch.rects[row].tolist())
            photo = letterbox(decode_photo_of(sample, raw), size=reader.image_size, pad=PAD, rect=rect)
            area = f"{sample.mask_share:.1%} of the photo" if sample.prompts is None else "from prompts"
            caption = "   ".join((sample.sample_id, sample.category, area, *sample.flags))
            rows.append(SheetRow(photo, batch.masks[row], batch.roi[row], batch.extra_roi[row], caption))
    sheet.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(contact_sheet(rows)).save(sheet)
