"""A report whose categories are called like markup, formulas and commands of every language it is written in."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from pipeline.datasets.layout import fold_name
from tests.browser import browser, inaccessible
from tests.unit.reporting import study as studies
from tests.unit.reporting.study import FEW, ROOT, build_study
from tests.unit.steps.test_report import write_few

pytestmark = pytest.mark.slow

EVIL = tuple(
    fold_name(name)
    for name in (
        "<img src=x onerror='document.title=1'>$^$ a\\b \\g<9>",
        '"=1+1|cmd" {{ 7*7 }} %s {0} #010203 id="x"',
        "'; document.title=1; //</script><script>document.title=2</script>",
        "비빔밥 & <b>café</b> font-family: x; url(#a)",
    )
)
"""In the order of ids 1 to 4; the last two are the ambiguous pair."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Write a report of such categories."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("evil")
        patch.setenv("DVC_ROOT", str(folder))
        patch.setattr(studies, "AMBIGUOUS", EVIL[2:])
        params = folder / "params.yaml"
        lines = (ROOT / "params.yaml").read_text(encoding="utf-8")
        params.write_text(
            re.sub(r"(?m)^ambiguous:.*\n(?: +.*\n)+", lambda _: f"ambiguous: {json.dumps(EVIL[2:])}\n", lines)
        )
        patch.setattr(studies, "ROOT", folder)
        categories = "".join(f"{number} {name}\n" for number, name in enumerate(("background", *EVIL)))
        made = build_study(folder / "study", categories=categories, runs=FEW)
        write_few(made, folder / "report")
        yield folder / "report"


def test_every_figure_is_sound_xml(report: Path) -> None:
    """Files and parts of the page alike; names are text elements, letter by letter."""
    page = (report / "index.html").read_text(encoding="utf-8")
    inline = re.findall(r"<svg .*?</svg>", page, flags=re.DOTALL)
    parsed = [ET.fromstring(svg) for svg in inline]  # noqa: S314 - our own
    texts = {element.text for svg in parsed for element in svg.iter() if element.tag.endswith("text")}
    assert len(inline) > len(EVIL)
    assert set(EVIL) <= texts
    files = list(report.rglob("*.svg"))
    assert files
    for file in files:
        ET.parse(file)  # noqa: S314 - our own


@pytest.fixture(scope="module")
def tab(report: Path) -> Iterator[Any]:
    """Open the page in a browser."""
    with browser() as started:
        opened = started.new_page()
        opened.said = []
        for event in ("pageerror", "dialog", "console"):
            opened.on(event, lambda what, event=event: opened.said.append(f"{event}: {what}"))
        opened.on("request", lambda request: opened.said.append(request.url))
        opened.goto((report / "index.html").as_uri())
        yield opened


def test_a_browser_shows_names_and_runs_none(tab: Any, report: Path) -> None:
    """No script, picture or request of theirs; the visible text has each name as it is."""
    own = (report / "index.html").as_uri()
    assert [line for line in tab.said if line != own and not line.startswith("data:")] == []
    assert tab.title() not in {"1", "2"}
    assert tab.locator("img[src=x]").count() == 0
    text = tab.evaluate("document.body.textContent")
    for name in EVIL:
        assert name in text


def test_nothing_of_the_report_is_inaccessible(tab: Any) -> None:
    """To axe-core, in light and dark, with everything unfolded, on a phone, where more is scrolled than elsewhere."""
    tab.set_viewport_size({"width": 390, "height": 850})
    tab.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert inaccessible(tab) == []
