"""The weights that the authors of SAM and FastSAM published, by architecture."""

from typing import NamedTuple

from pipeline.params.masks import FastSamArchitectureName, SamArchitectureName

SAM_URL = "https://dl.fbaipublicfiles.com/segment_anything"
FASTSAM_URL = "https://github.com/ultralytics/assets/releases/download/v8.4.0"
SAM_LICENCE, FASTSAM_LICENCE = "Apache-2.0", "AGPL-3.0"


class OfficialFile(NamedTuple):
    """One published file."""

    url: str
    """Where it is fetched."""
    size: int
    """Bytes."""
    sha256: str
    """Hexadecimal SHA-256; from public mirrors, since the authors publish none."""

    @property
    def name(self) -> str:
        """Return the file's name."""
        return self.url.rpartition("/")[2]


SAM_FILES: dict[SamArchitectureName, OfficialFile] = {
    "vit_b": OfficialFile(
        f"{SAM_URL}/sam_vit_b_01ec64.pth",
        375_042_383,
        "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
    ),
    "vit_l": OfficialFile(
        f"{SAM_URL}/sam_vit_l_0b3195.pth",
        1_249_524_607,
        "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
    ),
    "vit_h": OfficialFile(
        f"{SAM_URL}/sam_vit_h_4b8939.pth",
        2_564_550_879,
        "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
    ),
}
FASTSAM_FILES: dict[FastSamArchitectureName, OfficialFile] = {
    "s": OfficialFile(
        f"{FASTSAM_URL}/FastSAM-s.pt",
        23_832_055,
        "e9034d7478a8e9d1bfb57b51592e521a253287c7cdcf79258f61ea6d68584a0d",
    ),
    "x": OfficialFile(
        f"{FASTSAM_URL}/FastSAM-x.pt",
        144_943_063,
        "c0be4e7ddbe4c15333d15a859c676d053c486d0a746a3be6a7a9790d52a9b6d7",
    ),
}
