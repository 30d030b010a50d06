"""Hashes agree with the standard tools."""

import hashlib
from pathlib import Path

import pytest

from pipeline.acquisition.source import hash_file, hash_listing, verify_sha256
from pipeline.runtime.errors import SourceError


def test_a_file_is_hashed_block_by_block(tmp_path: Path) -> None:
    """Over several blocks, reporting the way."""
    body = b"food" * 600_000
    (tmp_path / "a").write_bytes(body)
    seen: list[int] = []
    assert hash_file(tmp_path / "a", lambda done, _: seen.append(done)) == hashlib.sha256(body).hexdigest()
    assert seen == sorted(seen)
    assert seen[-1] == len(body)


def test_a_listing_can_be_made_by_hand() -> None:
    """What `printf a >a; printf b >b; sha256sum a b | sha256sum` printed, in any order of the entries."""
    entries = [(name, hashlib.sha256(name.encode()).hexdigest()) for name in "ba"]
    assert hash_listing(entries) == "cb13f400dcb618e400d0f7d54f7cdb330d37a07272cb99a1016cda5830a10556"


def test_a_wrong_hash_names_both() -> None:
    """And what to do; without a pinned hash all are fine."""
    verify_sha256("a" * 64, None, "x.zip")
    verify_sha256("a" * 64, "a" * 64, "x.zip")
    with pytest.raises(SourceError, match=r"x\.zip: SHA-256 is a{64}, download\.sha256 asks for b{64};.*fetch it anew"):
        verify_sha256("a" * 64, "b" * 64, "x.zip")
