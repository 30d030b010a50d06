"""Draw README's pictures and write its numbers, from the demo's outputs: `make figures`, after `dvc repro`.

`docs/images/overview.png` shows one test sample of the ambiguous pair that RveRNet classifies correctly and the ROI
alone does not, the first by name; `docs/images/finding.png` the pair's F1 of every run.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image as Pillow

from pipeline import load_run
from pipeline.datasets.index import choose_named, read_samples
from pipeline.datasets.photos import read_masks, read_photo_of
from pipeline.evaluation.predictions import read_predictions
from pipeline.imaging.letterbox import cut_out
from pipeline.params.run_name import ABSENT
from pipeline.reporting.figures.style import BLUE, GRAY, INK, ORANGE, chart_style, show_picture
from pipeline.reporting.finding import correctness_of
from pipeline.reporting.grid import KINDS, PROPOSED, GridRun, name_of
from pipeline.steps.cost import study_cost
from pipeline.steps.schedule import PARAMS, current_stages, read_records

README, IMAGES, SUMMARY = Path("README.md"), Path("docs/images"), Path("results/summary.json")
BEGIN, END = "<!-- numbers: make figures -->\n", "<!-- end of numbers -->"
TIME = re.compile(r"(<!-- time: make figures -->).*(<!-- end of time -->)", re.DOTALL)
RAW, RUNS, EVALUATIONS, SAMPLES = (
    Path("data", name) for name in ("raw", "runs", "evaluations", "index/samples.parquet")
)
PAIR = ("ketchup", "chili paste")
ALONE = PROPOSED._replace(extra_roi=ABSENT)
"""The ROI branch of the paper's proposed pairing alone."""


def with_numbers(text: str, summary: dict[str, Any]) -> str:
    """Return README's text with the three numbers of `results/summary.json` between the two marks."""
    alone, both = (summary["runs"][run.name] for run in (ALONE, PROPOSED))
    changes = {entry["target"]: 100 * entry["change_top1"] for entry in both["permutations"]}
    of_roi, of_extra_roi = changes["roi"], changes["extra_roi"]
    runs = f"{PROPOSED.label} against {name_of(ALONE.roi)} on the ROI"
    pair = f"F1 of {' and '.join(PAIR)}, {runs} ({both['ambiguous_samples']} test samples of the demo)"
    shuffled = "points of top-1 when the patches of the surroundings are shuffled"
    lines = (
        f"- **{both['ambiguous_f1']:.2f} instead of {alone['ambiguous_f1']:.2f}** {pair}",
        f"- **{both['top1']:.1%} instead of {alone['top1']:.1%}** of all {both['samples']} test samples correct",
        f"- **{of_extra_roi:+.1f}** {shuffled}, **{of_roi:+.1f}** when those of the food are",
    )
    head, rest = text.split(BEGIN)
    return head + BEGIN + "\n".join(lines) + "\n" + END + rest.split(END, maxsplit=1)[1]


def with_time(text: str, records: list[dict[str, Any]], stages: Sequence[str]) -> str:
    """Return README's text with what the graph took by the records of this machine, if every stage has one."""
    if {*stages} - {record["stage"] for record in records if record["done"]}:
        return text
    taken = study_cost(records, stages)
    return TIME.sub(rf"\g<1>The graph takes {taken.time} on {' and '.join(taken.devices)}.\g<2>", text)


def disagreement() -> str:
    """Return the first sample of the pair, by name, that only RveRNet classifies correctly."""
    alone, both = (
        correctness_of(read_predictions(EVALUATIONS / run.name / "predictions.parquet"), PAIR)
        for run in (ALONE, PROPOSED)
    )
    return min(sample_id for sample_id, correct in both.items() if correct and not alone[sample_id])


def draw_overview(sample_id: str, path: Path) -> None:
    """Draw photo, mask, ROI, extra-ROI and the three best answers of both networks for one sample."""
    sample = choose_named(read_samples(SAMPLES), [sample_id])[0].sample
    photo, mask = read_photo_of(sample, RAW), read_masks([sample], RAW)[sample_id]
    alone, both = (load_run(RUNS / run.name).predict(photo, [mask])[0] for run in (ALONE, PROPOSED))
    picture = Pillow.fromarray(photo)
    pictures = {
        "photo": photo,
        "mask of one food": np.asarray(Pillow.fromarray(mask).convert("RGB")),
        "ROI: the food": np.asarray(cut_out(picture, mask, fill=0)),
        "extra-ROI: the rest": np.asarray(cut_out(picture, ~mask, fill=0)),
    }
    with chart_style():
        figure, axes = plt.subplots(1, 6, figsize=(9.4, 2.1), layout="constrained", width_ratios=[1.2] * 4 + [1] * 2)
        for place, (title, image) in zip(axes, pictures.items(), strict=False):
            show_picture(place, image)
            place.set_title(title)
        for place, title, answer in zip(axes[4:], ("ROI alone", "RveRNet"), (alone, both), strict=True):
            guesses = answer.top(3)[::-1]
            colours = [BLUE if guess.category == sample.category else GRAY for guess in guesses]
            place.barh(range(3), [guess.probability for guess in guesses], color=colours, height=0.35)
            for height, guess in enumerate(guesses):
                place.text(0, height + 0.28, f"{guess.category} {guess.probability:.0%}", fontsize=7, color=INK)
            place.set(title=title, xlim=(0, 1), ylim=(-0.5, 2.7), xticks=(), yticks=())
            place.spines[:].set_visible(False)
        save_figure(figure, path)


def draw_finding(summary: dict[str, Any], path: Path) -> None:
    """Draw the F1 of the ambiguous pair of every run with all classes, ROI only beside two branches."""
    f1 = {
        run: entry["ambiguous_f1"]
        for name, entry in summary["runs"].items()
        if (run := GridRun.parse(name)).kind in KINDS[:2]
    }
    ordered = sorted(f1, key=lambda run: (run.kind == KINDS[0], f1[run]))
    with chart_style():
        figure, axes = plt.subplots(figsize=(7, 2.9), layout="constrained")
        for height, run in enumerate(ordered):
            axes.barh(height, f1[run], color=BLUE if run.kind == KINDS[0] else ORANGE, height=0.6)
            axes.text(f1[run] + 0.01, height, f"{f1[run]:.2f}", va="center", fontsize=7)
        labels = [run.label if run.kind == KINDS[0] else f"{name_of(run.roi)} (ROI only)" for run in ordered]
        axes.set(yticks=range(len(ordered)), yticklabels=labels, xlim=(0, 1.05), xlabel=f"F1 of {' and '.join(PAIR)}")
        save_figure(figure, path)


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure with a palette, and close it."""
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=160, metadata={"Software": None})
    plt.close(figure)
    with Pillow.open(path) as picture:  # a third of the size
        picture.convert("RGB").quantize(256, dither=Pillow.Dither.NONE).save(path, optimize=True)


def main() -> None:
    """Draw both pictures and rewrite README's numbers."""
    summary = json.loads(SUMMARY.read_text(encoding="utf-8"))
    draw_overview(disagreement(), IMAGES / "overview.png")
    draw_finding(summary, IMAGES / "finding.png")
    text = with_numbers(README.read_text(encoding="utf-8"), summary)
    README.write_text(with_time(text, read_records(), tuple(current_stages(PARAMS))), encoding="utf-8")


if __name__ == "__main__":
    main()
