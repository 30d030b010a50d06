"""Draw README's pictures and write its numbers, from the demo's outputs: `make figures`, after `dvc repro`.

`docs/images/overview.png` shows one test sample of the ambiguous pair that RveRNet classifies correctly and the ROI
alone does not, the first by name; `docs/images/finding.png` the pair's F1 of every run.
"""

import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pyarrow.parquet as pq
from PIL import Image as Pillow

from pipeline import load_run, read_photo
from pipeline.imaging.decode import read_label_map
from pipeline.reporting.figures.style import BLUE, GRAY, INK, ORANGE, chart_style, show_picture

README, IMAGES, SUMMARY = Path("README.md"), Path("docs/images"), Path("results/summary.json")
BEGIN, END = "<!-- numbers: make figures -->\n", "<!-- end of numbers -->"
ALONE, PROPOSED = "deit_distilled+none-all", "deit_distilled+deit_distilled-all"
"""The paper's proposed pairing, and its ROI branch alone."""


def with_numbers(text: str, summary: dict[str, Any]) -> str:
    """Return README's text with the three numbers of `results/summary.json` between the two marks."""
    alone, both = (summary["runs"][run] for run in (ALONE, PROPOSED))
    of_roi, of_extra_roi = (100 * both["permutations"][place]["change_top1"] for place in (0, 1))
    pair = f"F1 of ketchup and chili paste with the surroundings ({both['ambiguous_samples']} test samples of the demo)"
    shuffled = "points of top-1 when the patches of the surroundings are shuffled"
    lines = (
        f"- **{both['ambiguous_f1']:.2f} instead of {alone['ambiguous_f1']:.2f}** {pair}",
        f"- **{both['top1']:.1%} instead of {alone['top1']:.1%}** of all {both['samples']} test samples correct",
        f"- **{of_extra_roi:+.1f}** {shuffled}, **{of_roi:+.1f}** when those of the food are",
    )
    head, rest = text.split(BEGIN)
    return head + BEGIN + "\n".join(lines) + "\n" + END + rest.split(END, maxsplit=1)[1]


def disagreement(pair: tuple[str, str]) -> dict[str, Any]:
    """Return the row of the sample table of the first sample of the pair that only RveRNet classifies correctly."""
    alone, both = (
        {row["sample_id"]: row["target"] == row["prediction"] for row in pq.read_table(path).to_pylist()}
        for path in (Path(f"data/evaluations/{run}/predictions.parquet") for run in (ALONE, PROPOSED))
    )
    rows: list[dict[str, Any]] = pq.read_table("data/index/samples.parquet").to_pylist()
    found = (
        row for row in rows if row["category"] in pair and both.get(row["sample_id"]) and not alone[row["sample_id"]]
    )
    return min(found, key=lambda row: str(row["sample_id"]))


def draw_overview(row: dict[str, Any], path: Path) -> None:
    """Draw photo, mask, ROI, extra-ROI and the three best answers of both networks for one sample."""
    photo = read_photo(Path("data/raw", row["photo_path"]))
    mask = read_label_map(Path("data/raw", row["label_map_path"])) == row["mask_value"]
    alone, both = (load_run(f"data/runs/{run}").predict(photo, [mask])[0] for run in (ALONE, PROPOSED))
    pictures = {
        "photo": photo,
        "mask of one food": np.repeat(mask[..., None], 3, axis=2).astype(np.uint8) * 255,
        "ROI: the food": np.where(mask[..., None], photo, 0),
        "extra-ROI: the rest": np.where(mask[..., None], 0, photo),
    }
    with chart_style():
        figure, axes = plt.subplots(1, 6, figsize=(9.4, 2.1), layout="constrained", width_ratios=[1.2] * 4 + [1] * 2)
        for place, (title, image) in zip(axes, pictures.items(), strict=False):
            show_picture(place, image)
            place.set_title(title)
        for place, title, answer in zip(axes[4:], ("ROI alone", "RveRNet"), (alone, both), strict=True):
            guesses = answer.top(3)[::-1]
            colours = [BLUE if guess.category == row["category"] else GRAY for guess in guesses]
            place.barh(range(3), [guess.probability for guess in guesses], color=colours, height=0.35)
            for height, guess in enumerate(guesses):
                place.text(0, height + 0.28, f"{guess.category} {guess.probability:.0%}", fontsize=7, color=INK)
            place.set(title=title, xlim=(0, 1), ylim=(-0.5, 2.7), xticks=(), yticks=())
            place.spines[:].set_visible(False)
        _save(figure, path)


def draw_finding(summary: dict[str, Any], path: Path) -> None:
    """Draw the F1 of the ambiguous pair of every run with all classes, ROI only beside two branches."""
    runs = {name: run for name, run in summary["runs"].items() if run["classes"] == "all" and run["roi"] != "none"}
    ordered = sorted(runs, key=lambda name: (runs[name]["extra_roi"] != "none", runs[name]["ambiguous_f1"]))
    with chart_style():
        figure, axes = plt.subplots(figsize=(7, 2.9), layout="constrained")
        for height, name in enumerate(ordered):
            score, single = runs[name]["ambiguous_f1"], runs[name]["extra_roi"] == "none"
            axes.barh(height, score, color=ORANGE if single else BLUE, height=0.6)
            axes.text(score + 0.01, height, f"{score:.2f}", va="center", fontsize=7)
        labels = [name.removesuffix("-all").replace("+none", " (ROI only)").replace("+", " + ") for name in ordered]
        axes.set(yticks=range(len(ordered)), yticklabels=labels, xlim=(0, 1.05), xlabel="F1 of ketchup and chili paste")
        _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=160, metadata={"Software": None})
    plt.close(figure)
    with Pillow.open(path) as picture:  # a palette is a third of the size
        picture.convert("RGB").quantize(256, dither=Pillow.Dither.NONE).save(path, optimize=True)


def main() -> None:
    """Draw both pictures and rewrite README's numbers."""
    summary = json.loads(SUMMARY.read_text(encoding="utf-8"))
    draw_overview(disagreement(("ketchup", "chili paste")), IMAGES / "overview.png")
    draw_finding(summary, IMAGES / "finding.png")
    README.write_text(with_numbers(README.read_text(encoding="utf-8"), summary), encoding="utf-8")


if __name__ == "__main__":
    main()
