"""What `download.source` may name."""

from pathlib import Path

import pytest

from pipeline.acquisition.source import is_remote, is_stored, local_path, remote_name
from pipeline.runtime.errors import SourceError


@pytest.mark.parametrize(
    ("source", "remote"),
    [("http://a/b", True), ("HTTPS://a/b", True), ("file:///a", False), ("/a/http://", False), ("http", False)],
)
def test_only_http_goes_over_the_network(source: str, remote: bool) -> None:
    """In any case of letters."""
    assert is_remote(source) is remote


@pytest.mark.parametrize(
    ("source", "stored"),
    [("s3://b/a.zip", True), ("GS://b", True), ("s3:/a", False), ("/s3://a", False)],
)
def test_object_storage_is_told_by_the_scheme(source: str, stored: bool) -> None:
    """In any case of letters."""
    assert is_stored(source) is stored


def test_a_remote_name_is_the_end_of_the_path() -> None:
    """Decoded, and without query."""
    assert remote_name("https://host/a/Food%20Seg103.zip?token=1#x") == "Food Seg103.zip"
    assert remote_name("https://host/") == "archive.zip"


def test_a_file_url_and_a_path_name_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blanks are decoded, the home folder is known."""
    path = tmp_path / "a b.zip"
    path.touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert local_path(str(path)) == local_path(path.as_uri()) == local_path("~/a b.zip") == path
    assert local_path(path.as_uri().replace("file://", "file://localhost")) == path


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("/no/such/file.zip", "no such archive or folder; dataset and download.source take"),
        ("foodseg", "no such archive or folder"),
        ("a\0b", "no such archive or folder|not a usable path"),
        ("x" * 5000, "not a usable path"),
        ("ftp://host/a.zip", "only http, https, file and object storage"),
        ("file://server/a.zip", "three slashes"),
    ],
)
def test_what_is_not_there_is_one_line(source: str, message: str) -> None:
    """It says what would do."""
    with pytest.raises(SourceError, match=message):
        local_path(source)
