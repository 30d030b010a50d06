"""Draw the pictures of `docs/gallery.md` from the demo's outputs: `make figures`, after `dvc repro`.

Report and page are photographed in an installed Chromium. All pictures show the demo, so they may be published.
"""

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from PIL import Image as Pillow
from playwright.sync_api import sync_playwright

from pipeline import Run, load_run
from pipeline.datasets.index import choose_random, read_samples
from pipeline.datasets.photos import read_masks, read_photo_of
from pipeline.reporting.figures.style import chart_style, show_picture
from pipeline.reporting.grid import PROPOSED
from pipeline.steps.show import write_sheet
from tools.readme_figures import IMAGES, RAW, RUNS, SAMPLES, disagreement, save_figure

RUN = RUNS / PROPOSED.name
HEAT = Path(f"data/report/figures/figure_4_{PROPOSED.roi}.png")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH, HEIGHT = 1000, 960
"""Size of a photographed window in pixels."""


def draw_plate(run: Run, photo_id: str, path: Path) -> None:
    """Draw a photo with the outline and the first guess of each of its foods, and all foods as the run saw them."""
    samples = [sample for sample in read_samples(SAMPLES) if sample.sample_id.startswith(photo_id)]
    photo, masks = read_photo_of(samples[0], RAW), list(read_masks(samples, RAW).values())
    with chart_style():
        figure, axes = plt.subplots(1, 1 + len(samples), figsize=(9.4, 2.1), layout="constrained")
        show_picture(axes[0], photo)
        axes[0].set_title("photo")
        for place, mask, prediction in zip(axes[1:], masks, run.predict(photo, masks), strict=True):
            (best,) = prediction.top(1)
            axes[0].contour(mask, levels=[0.5], colors="white", linewidths=1)
            show_picture(place, prediction.roi)
            place.set_title(f"{best.category} {best.probability:.0%}")
        save_figure(figure, path)


def shrink(path: Path, width: int = WIDTH) -> None:
    """Rewrite a picture with at most `width` columns and a palette, a third of the size."""
    with Pillow.open(path) as picture:
        shown = picture.convert("RGBA")
        shown = Pillow.alpha_composite(Pillow.new("RGBA", shown.size, "white"), shown).convert("RGB")
    shown.thumbnail((width, 10 * width), Pillow.Resampling.LANCZOS)
    shown.quantize(128, dither=Pillow.Dither.NONE).save(path, optimize=True)


@contextmanager
def served() -> Iterator[str]:
    """Serve the run for the time of the block; give the page's address."""
    command = [sys.executable, "-m", "pipeline", "serve", "--run", str(RUN), "--port", "0", "--no-browser"]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)  # noqa: S603
    try:
        found = re.search(r"http://\S+", server.stderr.readline() if server.stderr else "")
        if found is None:
            sys.exit("the page did not start; try: python -m pipeline serve")
        yield found.group()
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)


def photograph_report(tab: Any, path: Path) -> None:
    """Take a picture of the top of the report."""
    tab.goto(f"file://{Path('data/report/index.html').resolve()}")
    tab.screenshot(path=str(path))


def photograph_page(tab: Any, path: Path) -> None:
    """Take a picture of the page with a sample classified and explained."""
    with served() as address:
        tab.goto(address)
        tab.locator("#samples button").first.click()
        tab.locator("#answer-1").wait_for()
        tab.locator("#explain").click()
        tab.locator("#heat img").nth(2).wait_for()
        tab.screenshot(path=str(path), full_page=True)


def main() -> None:
    """Draw all of them."""
    chosen = choose_random(read_samples(SAMPLES), split="test", category="ketchup", count=6, seed=0)
    write_sheet(chosen, raw=RAW, shards=Path("data/shards/annotation"), sheet=IMAGES / "contact_sheet.png")
    draw_plate(load_run(RUN, device="cpu"), disagreement().rpartition("/")[0] + "/", IMAGES / "plate.png")
    shutil.copy(HEAT, IMAGES / "grad_cam.png")
    binary = next(filter(None, map(shutil.which, BROWSERS)), None)
    if binary is None:
        sys.exit(f"none of {', '.join(BROWSERS)} is installed; report.png and page.png stay as they are")
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=binary, args=["--no-sandbox", "--disable-gpu"])
        for name, photograph in (("report", photograph_report), ("page", photograph_page)):
            tab = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
            tab.set_default_timeout(120_000)
            photograph(tab, IMAGES / f"{name}.png")
        browser.close()
    for name in ("contact_sheet", "grad_cam", "report", "page"):
        shrink(IMAGES / f"{name}.png")


if __name__ == "__main__":
    main()
