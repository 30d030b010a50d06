"""The published weights of SAM and FastSAM, verification of a file before it is opened, and `mask_weights.json`."""

from pathlib import Path
from typing import Literal, NamedTuple

from pipeline.params.base import Section, read_record
from pipeline.params.masks import FastSamArchitectureName, SamArchitectureName, SourceName
from pipeline.runtime.errors import WeightsError
from pipeline.runtime.manifest import sha256_of

CARD = "mask_weights.json"
SAM_URL = "https://dl.fbaipublicfiles.com/segment_anything"
FASTSAM_URL = "https://github.com/ultralytics/assets/releases/download/v8.4.0"
SAM_LICENCE, FASTSAM_LICENCE = "Apache-2.0", "AGPL-3.0"
HUB_LICENCES = {"facebook/sam2": "Apache-2.0", "facebook/sam3": "SAM License"}  # by start of the repository's name


class OfficialFile(NamedTuple):
    """One published file."""

    url: str  # where it is fetched
    size: int  # bytes
    sha256: str  # hexadecimal SHA-256; from public mirrors, since the authors publish none

    @property
    def name(self) -> str:
        """Return the file's name."""
        return self.url.rpartition("/")[2]


SAM_FILES: dict[SamArchitectureName, OfficialFile] = {
    "vit_b": OfficialFile(
        f"{SAM_URL}/sam_vit_b_01ec64.pth", 375_042_383,
        "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
    ),
    "vit_l": OfficialFile(
        f"{SAM_URL}/sam_vit_l_0b3195.pth", 1_249_524_607,
        "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
    ),
    "vit_h": OfficialFile(
        f"{SAM_URL}/sam_vit_h_4b8939.pth", 2_564_550_879,
        "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
    ),
}  # fmt: skip
FASTSAM_FILES: dict[FastSamArchitectureName, OfficialFile] = {
    "s": OfficialFile(
        f"{FASTSAM_URL}/FastSAM-s.pt", 23_832_055, "e9034d7478a8e9d1bfb57b51592e521a253287c7cdcf79258f61ea6d68584a0d",
    ),
    "x": OfficialFile(
        f"{FASTSAM_URL}/FastSAM-x.pt", 144_943_063, "c0be4e7ddbe4c15333d15a859c676d053c486d0a746a3be6a7a9790d52a9b6d7",
    ),
}  # fmt: skip


def verify_weights_file(path: Path, official: OfficialFile | None, sha256: str | None, *, remedy: str) -> str:
    """Return the SHA-256 of a file of weights.

    A file that has the name of the `official` one of its architecture has to be it, unless `sha256` pins another.

    Raises:
        WeightsError: If it is absent, a web page, truncated or another file; the message ends with `remedy`.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; {remedy}")
    with path.open("rb") as file:
        start = file.read(64).lstrip()
    if not start:
        raise WeightsError(f"{path}: an empty file; {remedy}")
    if start.startswith(b"<"):
        raise WeightsError(f"{path}: a web page instead of weights; {remedy}")
    same_name = official if official and official.name == path.name else None
    size = path.stat().st_size
    if same_name and not sha256 and size != same_name.size:
        raise WeightsError(f"{path}: {size} bytes, the official file has {same_name.size}; {remedy}")
    found, expected = sha256_of(path), sha256 or (same_name and same_name.sha256)
    if expected not in {None, found}:
        raise WeightsError(f"{path}: SHA-256 is {found}, not {expected}; {remedy}")
    return found


class MaskWeightsCard(Section):
    """Weights of one mask source and where they came from; nothing in it varies by machine."""

    source: SourceName  # mask source
    architecture: str | None  # size of the network; null for annotation and GrabCut
    origin: Literal["none", "official", "random", "file", "hub", "folder"]  # with `random` ones masks mean nothing
    file: str | None  # name of the fetched file or folder, without folders above; of the hub repository@commit
    sha256: str | None  # hexadecimal SHA-256 of the fetched file; of several, of their listing by sha256sum
    licence: str | None  # licence of the official weights; null for others
    stored: str | None  # name of the file beside the card that holds the weights


def read_card(folder: Path) -> MaskWeightsCard:
    """Read `folder/mask_weights.json`; a WeightsError if it is absent or damaged."""
    stage = f"mask_weights@{folder.name}" if folder.parent.name == "mask_weights" else None
    give = "give a folder that stage mask_weights wrote, such as data/mask_weights/sam, or a file of weights"
    return read_record(MaskWeightsCard, folder / CARD, stage, error=WeightsError, otherwise=give)
