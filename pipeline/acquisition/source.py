"""What `download.source` names: the demo, a URL, a local archive, or a local folder."""

import re
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from pipeline.errors import SourceError
from pipeline.url_secrets import without_secrets

DEMO = "demo"
STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oci", "hdfs", "webhdfs"})
"""Schemes of object storage, which fsspec fetches from where the store's own package is installed."""


def is_remote(source: str) -> bool:
    """Tell whether a source has to come over the network."""
    return re.match(r"https?://", source, re.IGNORECASE) is not None


def is_stored(source: str) -> bool:
    """Tell whether a source lies on object storage."""
    scheme, separator, _ = source.partition("://")
    return bool(separator) and scheme.lower() in STORES


def remote_name(url: str) -> str:
    """Return the file name a URL ends in, for instance FoodSeg103.zip."""
    name = PurePosixPath(unquote(urlsplit(url).path)).name
    return name if name.strip(".") else "archive.zip"


def local_path(source: str) -> Path:
    """Return the existing archive or folder that a path or file:// URL names.

    Raises:
        SourceError: If nothing is there, or the scheme is not one this project fetches.
    """
    path = _path(source)
    try:
        if path.exists():
            return path
    except (OSError, ValueError) as error:
        raise SourceError(f"{source!r}: not a usable path ({error}); correct dataset or download.source") from error
    raise SourceError(
        f"{path}: no such archive or folder; dataset and download.source take demo, an http(s)://, s3:// or file:// "
        "URL, or an existing path"
    )


def _path(source: str) -> Path:
    if "://" not in source:
        return Path(source).expanduser()
    if not source.lower().startswith("file://"):
        raise SourceError(
            f"{without_secrets(source)}: only http, https, file and object storage (s3, gs, az, ...) URLs are "
            "fetched; give a path"
        )
    parts = urlsplit(source)
    if parts.netloc not in {"", "localhost"}:
        raise SourceError(f"{source}: names a file of host {parts.netloc}; write file:///path with three slashes")
    return Path(url2pathname(parts.path))
