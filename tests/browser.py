"""A real browser, and what axe-core finds in it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
RULES = {"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}}
"""All of axe-core's, also that a target has 24 pixels."""


@contextmanager
def browser() -> Iterator[Any]:
    """Start an installed browser; skip the test where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: no browser to drive")
    binary = next(filter(None, map(shutil.which, BROWSERS)), None)
    if binary is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed: no browser to drive")
    with playwright.sync_playwright() as started:
        yield started.chromium.launch(executable_path=binary, args=FLAGS)


def inaccessible(tab: Any) -> list[str]:
    """Return what axe-core finds critical or serious on a page, in light and in dark."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    found = []
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme)
        for problem in axe.run(tab, options=RULES).response["violations"]:
            if problem["impact"] in {"serious", "critical"}:
                places = [node["target"] for node in problem["nodes"]]
                found.append(f"{scheme}: {problem['id']}: {problem['help']}: {places}")
    return found
