"""Files of weights are looked at before anything opens them."""

import hashlib
from pathlib import Path

import pytest

from pipeline.runtime.errors import WeightsError
from pipeline.segmentation.weights import FASTSAM_FILES, SAM_FILES, OfficialFile, verify_weights_file

CONTENT = b"PK weights of some network"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OFFICIAL = OfficialFile("https://example.org/there/sam.pth", len(CONTENT), SHA256)
WANTED = "fetch the official file"


def written(folder: Path, content: bytes, name: str = "sam.pth") -> Path:
    """Write a file."""
    path = folder / name
    path.write_bytes(content)
    return path


def test_the_official_file_passes(tmp_path: Path) -> None:
    """Its hash is returned, for the card."""
    assert verify_weights_file(written(tmp_path, CONTENT), OFFICIAL, None, remedy=WANTED) == SHA256


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "an empty file"),
        (b"\n <!doctype html><title>Sign in", "a web page instead of weights"),
        (CONTENT[:-1], "25 bytes, the official file has 26"),
        (CONTENT[:-1] + b"!", f"SHA-256 is .*, not {SHA256}"),
    ],
)
def test_everything_else_is_refused_in_one_line(tmp_path: Path, content: bytes | None, message: str) -> None:
    """Absent, empty, HTML, truncated, changed: each says what it is and what to do."""
    path = tmp_path / "sam.pth" if content is None else written(tmp_path, content)
    with pytest.raises(WeightsError, match=f"sam.pth: {message}; {WANTED}$") as caught:
        verify_weights_file(path, OFFICIAL, None, remedy=WANTED)
    assert "\n" not in str(caught.value)


def test_a_file_of_ones_own_need_not_be_the_official_one(tmp_path: Path) -> None:
    """Another name, or a pinned hash: fine-tuned weights are welcome, silent swaps are not."""
    own = written(tmp_path, b"my weights", "mine.pth")
    pinned = hashlib.sha256(b"my weights").hexdigest()
    assert verify_weights_file(own, OFFICIAL, None, remedy=WANTED) == pinned
    assert verify_weights_file(written(tmp_path, b"my weights"), OFFICIAL, pinned, remedy=WANTED) == pinned
    with pytest.raises(WeightsError, match="SHA-256"):
        verify_weights_file(own, OFFICIAL, "0" * 64, remedy=WANTED)


def test_every_official_file_is_pinned() -> None:
    """SAM's file names end in the start of the MD5, which a mirror cannot forge together with the SHA-256."""
    files = [*SAM_FILES.values(), *FASTSAM_FILES.values()]
    assert {file.name for file in files} == {
        "sam_vit_b_01ec64.pth", "sam_vit_l_0b3195.pth", "sam_vit_h_4b8939.pth", "FastSAM-s.pt", "FastSAM-x.pt",
    }  # fmt: skip
    assert all(file.url.startswith("https://") and len(file.sha256) == 64 and file.size > 2e7 for file in files)
