"""The documentation site builds without a warning, and works as files, without a connection."""

import os
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import typer
from PIL import Image

from pipeline import api
from pipeline.cli.app import app
from tests.guarded import guarded, noted

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
LOADED = {"script", "img", "link", "iframe", "source"}
"""Elements whose address a browser loads by itself."""


class Page(HTMLParser):
    """What a page is called by, links to and loads."""

    def __init__(self, path: Path) -> None:
        """Read a page."""
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note anchors and addresses."""
        values = dict(attrs)
        self.anchors |= {values["id"]} if values.get("id") else set()
        address = values.get("href") or values.get("src")
        if address and values.get("rel") != "canonical":
            (self.loads if tag in LOADED else self.links).append(address)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `make docs` does, where any connection is noted."""
    folder = tmp_path_factory.mktemp("site")
    command = ["-m", "sphinx", "-q", "-W", "--keep-going", "-d", str(folder / "doctrees"), "docs", str(folder / "html")]
    env = os.environ | guarded(folder / "network")
    done = subprocess.run([sys.executable, *command], cwd=ROOT, env=env, capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 0, done.stderr
    assert noted(folder / "network", "refused") == []
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """Return every page of the site."""
    return {path: Page(path) for path in sorted(site.rglob("*.html"))}


def local(path: Path, addresses: list[str]) -> Iterator[tuple[str, Path, str]]:
    """Yield address, file and anchor of the links of a page that stay on this machine."""
    for address in addresses:
        parts = urlsplit(address)
        if not parts.scheme and not parts.netloc:
            yield (
                address,
                (path.parent / unquote(parts.path)).resolve() if parts.path else path,
                unquote(parts.fragment),
            )


def test_links_lead_to_pages_and_headings_of_the_site(pages: dict[Path, Page]) -> None:
    """Those that the theme and the docstrings make included."""
    for path, page in pages.items():
        for address, target, anchor in local(path, page.links):
            assert target.exists(), f"{path.name}: {address}"
            assert not anchor or anchor in pages[target].anchors, f"{path.name}: {address}"


def test_nothing_is_loaded_from_elsewhere(pages: dict[Path, Page], site: Path) -> None:
    """Scripts, styles, fonts and pictures lie beside the pages."""
    for path, page in pages.items():
        assert len(list(local(path, page.loads))) == len(page.loads), page.loads
        assert all(target.exists() for _, target, _ in local(path, page.loads)), path
    assert all("@import" not in css.read_text() and "url(http" not in css.read_text() for css in site.rglob("*.css"))


def test_every_page_of_docs_and_every_public_name_and_command_is_there(pages: dict[Path, Page], site: Path) -> None:
    """A page that no table of contents names fails the build."""
    shown = {path.relative_to(site).with_suffix("") for path in pages}
    assert {path.relative_to(ROOT / "docs").with_suffix("") for path in (ROOT / "docs").rglob("*.md")} <= shown
    assert {f"pipeline.{name}" for name in api.__all__} <= pages[site / "reference/python.html"].anchors
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert set(commands) <= pages[site / "reference/commands.html"].anchors


def test_pictures_are_small_and_shown() -> None:
    """A clone need not carry megabytes of them."""
    texts = "".join(path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    for path in (ROOT / "docs/images").iterdir():
        assert path.stat().st_size < 150_000, path
        assert f"images/{path.name}" in texts
        with Image.open(path) as picture:
            assert picture.width <= 1600
