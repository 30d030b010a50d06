"""Write the demo data set in the official layout of FoodSeg103, and pack it like the official archive."""

import os
from functools import partial
from pathlib import Path

import cv2
from rustyzipper import CompressionLevel, EncryptionMethod, compress_files

from pipeline.datasets.layout import CATEGORY_FILE, LISTS, OFFICIAL_SPLITS, format_category_names, format_split_list
from pipeline.demo.foods import CATEGORIES, menu
from pipeline.demo.scene import Dice, render
from pipeline.params.stages import DemoParams
from pipeline.runtime.console import progress
from pipeline.runtime.errors import ArchiveError
from pipeline.runtime.parallel import map_ordered

ROOT = "FoodSeg103"
FILE_TIME = 946_684_800  # 2000-01-01 in Unix seconds, the time of all files, which ZIP entries record
FULL_COLOUR = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
"""Neighbours mix their colours within blocks of 8 pixels only."""
JPEG = (cv2.IMWRITE_JPEG_QUALITY, 90, *FULL_COLOUR)


def write_demo(params: DemoParams, folder: Path, *, workers: int) -> None:
    """Draw every photo and label map below `folder/FoodSeg103`; the bytes do not depend on `workers`.

    Stems count through train, then test, from 00000000; a scene depends only on (seed, split, position in the split).
    """
    root = folder / ROOT
    (root / LISTS).mkdir(parents=True, exist_ok=True)
    jobs: list[tuple[str, int, int]] = []
    for split, photos in zip(OFFICIAL_SPLITS, (params.train_photos, params.test_photos), strict=True):
        for kind in ("img_dir", "ann_dir"):
            (root / "Images" / kind / split).mkdir(parents=True, exist_ok=True)
        first = len(jobs)
        jobs += [(split, position, first + position) for position in range(photos)]
        stems = (f"{first + position:08d}" for position in range(photos))
        (root / LISTS / f"{split}.txt").write_text(format_split_list(stems), encoding="utf-8")
    names = format_category_names(dict(enumerate(("background", *CATEGORIES))))
    (root / CATEGORY_FILE).write_text(names, encoding="utf-8")
    write = partial(_write_photo, root, params.seed)
    for _ in progress(map_ordered(write, jobs, workers=workers), total=len(jobs), what="demo", unit="photos"):
        pass


def _write_photo(root: Path, seed: int, job: tuple[str, int, int]) -> None:
    """Draw one photo; runs in a worker process."""
    split, position, stem = job
    cv2.setNumThreads(1)  # the processes share the cores already
    scene, images = render(menu(seed, split, position), Dice.of(seed, split, position)), root / "Images"
    _, photo = cv2.imencode(".jpg", cv2.cvtColor(scene.photo, cv2.COLOR_RGB2BGR), JPEG)
    _, label_map = cv2.imencode(".png", scene.label_map)
    (images / "img_dir" / split / f"{stem:08d}.jpg").write_bytes(photo.tobytes())
    (images / "ann_dir" / split / f"{stem:08d}.png").write_bytes(label_map.tobytes())


def pack_archive(folder: Path, archive: Path, *, password: str) -> None:
    """Pack `folder/FoodSeg103` by ZipCrypto, the same files into the same bytes; an `ArchiveError` without files."""
    files = sorted(path for path in (folder / ROOT).rglob("*") if path.is_file())
    if not files:
        raise ArchiveError(f"{folder / ROOT}: holds no files to pack; write the demo there first")
    for path in files:
        os.utime(path, (FILE_TIME, FILE_TIME))
    compress_files(
        [str(path) for path in files],
        str(archive),
        password=password,
        encryption=EncryptionMethod.ZIPCRYPTO,
        compression_level=CompressionLevel.FAST,
        prefixes=[path.parent.relative_to(folder).as_posix() for path in files],
        suppress_warning=True,  # that ZipCrypto, the scheme of the official archive, is weak
    )
