"""Small data sets in the official layout, for tests."""

from pathlib import Path

import numpy as np
from PIL import Image

CATEGORY_LINES = "0 background\n1 bread\n2  rice \n7 sauce\n"

OFFICIAL = {
    "category_id.txt": b"0 background\n1 candy\n",
    "ImageSets/train.txt": b"00000001\n",
    "ImageSets/test.txt": b"00000002\n",
    "Images/img_dir/train/00000001.jpg": b"photo 1",
    "Images/img_dir/test/00000002.jpg": b"photo 2",
    "Images/ann_dir/train/00000001.png": b"labels 1",
    "Images/ann_dir/test/00000002.png": b"labels 2",
}
"""Files of the smallest data set in the official layout that `download` takes, by path; it looks at no pixel."""


class RawFolder:
    """A folder like data/raw; every photo is listed unless said otherwise."""

    def __init__(self, path: Path, categories: str = CATEGORY_LINES) -> None:
        """Make an empty data set."""
        self.path = path
        (path / "ImageSets").mkdir(parents=True)
        (path / "category_id.txt").write_text(categories)
        for split in ("train", "test"):
            (path / "ImageSets" / f"{split}.txt").write_text("")
            for folder in ("img_dir", "ann_dir"):
                (path / "Images" / folder / split).mkdir(parents=True)

    def photo(self, split: str, stem: str) -> Path:
        """Return where a photo lies."""
        return self.path / "Images/img_dir" / split / f"{stem}.png"

    def label_map(self, split: str, stem: str) -> Path:
        """Return where a label map lies."""
        return self.path / "Images/ann_dir" / split / f"{stem}.png"

    def list_stem(self, split: str, line: str) -> None:
        """Add a line to a list of ImageSets."""
        with (self.path / "ImageSets" / f"{split}.txt").open("a") as file:
            file.write(f"{line}\n")

    def add(self, split: str, stem: str, labels: np.ndarray, *, seed: int = 0) -> None:
        """Add a photo, its label map and its line; same seed and size, same bytes of the photo."""
        save(labels, self.label_map(split, stem))
        save(noise(labels.shape[0], labels.shape[1], seed), self.photo(split, stem))
        self.list_stem(split, stem)

    def add_extra(self, category: str, split: str, stem: str, mask: np.ndarray | None, *, seed: int = 0) -> Path:
        """Add a photo of an extra category, 8 x 10 pixels unless the mask says otherwise; return its folder."""
        folder = self.path / "extra" / category / split
        folder.mkdir(parents=True, exist_ok=True)
        if mask is not None:
            save(mask, folder / f"{stem}.mask.png")
        height, width = (8, 10) if mask is None else mask.shape
        save(noise(height, width, seed), folder / f"{stem}.png")
        return folder


def save(pixels: np.ndarray, path: Path) -> None:
    """Write a picture without loss."""
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def flip_bit(path: Path) -> None:
    """Flip one bit in the middle of a file, as a failing disk does."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def noise(height: int, width: int, seed: int) -> np.ndarray:
    """Return a random picture."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def labels_of(*values: int, height: int = 8, width: int = 10) -> np.ndarray:
    """Return a label map with one row of each value on background."""
    labels = np.zeros((height, width), np.uint8)
    for row, value in enumerate(values):
        labels[row] = value
    return labels
