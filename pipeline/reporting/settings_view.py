"""Settings files as the page shows them: flat, without what belongs to one machine or one person."""

import json
from collections.abc import Iterator
from pathlib import Path, PurePath

from pipeline.url_secrets import without_secrets

HIDDEN = frozenset({"password"})


def read_settings(folder: Path) -> tuple[tuple[str, dict[str, str]], ...]:
    """Return name and values by dotted key of every settings file; files of stages first."""
    files = sorted(folder.rglob("*.json"), key=lambda path: (len(path.parts), path))
    return tuple(
        (path.relative_to(folder).with_suffix("").as_posix(), flatten(json.loads(path.read_bytes()))) for path in files
    )


def flatten(value: object, prefix: str = "") -> dict[str, str]:
    """Return nested settings by dotted key, as text."""
    return dict(_entries(value, prefix))


def _entries(value: object, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for name, entry in value.items():
            yield from _entries(entry, f"{key}.{name}" if key else str(name))
    else:
        yield key, "hidden" if key.rpartition(".")[2] in HIDDEN and value else plain(value)


def plain(value: object) -> str:
    """Return a value as a person writes it; of a path on this machine only the last part."""
    if value is None or value in ({}, []):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(f"({plain(entry)})" if isinstance(entry, list) else plain(entry) for entry in value)
    return place_name(value) if isinstance(value, str) else str(value)


def place_name(source: str) -> str:
    """Return a plain word as it is, a web address without its secrets, of a path on this machine the last part."""
    local = source.startswith(("/", "~", "file:")) or ":\\" in source
    return PurePath(source.replace("\\", "/")).name if local else without_secrets(source)
