"""One version and date of the last release, in the changelog and in the citation."""

import re
import tomllib
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
HEADINGS = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)


def test_the_changelog_has_a_section_for_each_release() -> None:
    """What is not released first, then the releases, the newest first."""
    releases = [re.fullmatch(r"(\d+)\.(\d+)\.(\d+) \((\d{4}-\d\d-\d\d)\)", heading) for heading in HEADINGS[1:]]
    assert HEADINGS[0] == "Unreleased"
    assert releases
    assert all(releases)
    versions = [tuple(map(int, release.groups()[:3])) for release in releases if release]
    assert versions == sorted(set(versions), reverse=True)


def test_the_citation_names_the_last_release() -> None:
    """As the package does, and has what the Citation File Format 1.2.0 requires."""
    citation: dict[str, Any] = YAML(typ="safe").load(ROOT / "CITATION.cff")
    assert f"{citation['version']} ({citation['date-released']})" == HEADINGS[1]
    assert citation["version"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert citation["cff-version"] == "1.2.0"
    assert citation["message"]
    assert citation["title"]
    assert citation["authors"]
    (paper,) = citation["references"]
    assert paper["identifiers"][0]["value"] == "arXiv:2407.08257"
