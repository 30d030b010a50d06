"""Locks follow the requirements, have hashes, and have their licences listed."""

import re
from importlib.metadata import distributions
from pathlib import Path

import pytest

from tools.licences import PIN, pinned, plain

ROOT = Path(__file__).parents[2]
REQUIRED = re.compile(r"^([\w.-]+)(?:\[[^\]]*\])?==([^\s;]+)", re.MULTILINE)
ENTRY = re.compile(r"^[\w.-]+(?:\[[^\]]*\])?==.*\\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE)


@pytest.mark.parametrize(
    ("requirements", "lock"),
    [
        ("requirements.txt", "requirements.lock"),
        ("requirements.txt", "requirements-dev.lock"),
        ("requirements-dev.txt", "requirements-dev.lock"),
        ("requirements-ray.txt", "requirements-dev.lock"),
    ],
)
def test_a_lock_has_every_required_version(requirements: str, lock: str) -> None:
    """`make lock` after an edit."""
    required = {plain(name): version for name, version in REQUIRED.findall((ROOT / requirements).read_text())}
    locked = pinned(ROOT / lock)
    assert required
    assert required.items() <= locked.items(), "run `make lock`"


def test_both_locks_agree() -> None:
    """Tests run on the versions that the pipeline runs on."""
    assert pinned(ROOT / "requirements.lock").items() <= pinned(ROOT / "requirements-dev.lock").items()


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_every_locked_package_has_hashes(lock: str) -> None:
    """Pip would refuse the whole file otherwise; a package may have one version for each Python."""
    text = (ROOT / lock).read_text()
    assert len(ENTRY.findall(text)) == len(PIN.findall(text)) > 100


def test_every_installed_package_of_the_locks_has_its_licence_listed() -> None:
    """`make licences` after a change of the locks; packages of other platforms are not installed."""
    page = {
        plain(name) for name in re.findall(r"^\| \[?([\w.-]+)", (ROOT / "docs/licences.md").read_text(), re.MULTILINE)
    }
    installed = {plain(distribution.name) for distribution in distributions()}
    # Tools that measure installed packages leave themselves out.
    themselves = {"pip", "pip-licenses", "prettytable", "wcwidth", "tomli", "setuptools"}
    assert (pinned(ROOT / "requirements-dev.lock").keys() & installed) - themselves <= page, "run `make licences`"
