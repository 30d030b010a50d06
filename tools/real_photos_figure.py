"""Draw the figure of docs/real-photos.md from the tables of that page.

`python -m tools.real_photos_figure`
"""

import re
from pathlib import Path

from matplotlib.figure import Figure

from pipeline.reporting.figures.style import BLUE, GRAY, INK, ORANGE, chart_style, name_rows

PAGE, PICTURE = Path("docs/real-photos.md"), Path("docs/images/real_gains.png")
NUMBER = r"([+-]?\d+\.\d)"
ROW = re.compile(rf"\| (ROI \+ [^|]+?) \| [^|]+ \| [^|]+ \| {NUMBER} \({NUMBER} to {NUMBER}\)")
"""A row of features of the ROI and a second view: its name, the gain in top-1 and its 95 % interval, in points."""
SHIFT = 0.12
"""Distance of a backbone's dots from the middle of their row, in rows."""


def gains(text: str) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Return gain, lower and upper end in points, by backbone and second view, of the tables of frozen features."""
    tables = re.split(r"^(\S+):\n\n(?=\| features of)", text, flags=re.MULTILINE)
    return {
        backbone: {
            name.removeprefix("ROI + "): (float(gain), float(low), float(high))
            for name, gain, low, high in ROW.findall(table.split("\n\n")[0])
        }
        for backbone, table in zip(tables[1::2], tables[2::2], strict=True)
    }


def main() -> None:
    """Write the picture."""
    by_backbone = gains(PAGE.read_text(encoding="utf-8"))
    with chart_style():
        figure = Figure(figsize=(6.2, 2.2), layout="constrained")
        axes = figure.subplots()
        name_rows(axes, [f"ROI + {view}" for view in next(iter(by_backbone.values()))])
        for shift, colour, (backbone, rows) in zip((-SHIFT, SHIFT), (BLUE, ORANGE), by_backbone.items(), strict=True):
            for row, (gain, low, high) in enumerate(rows.values()):
                axes.plot((low, high), [row + shift] * 2, color=colour, linewidth=2)
                axes.plot(gain, row + shift, "o", color=colour, markersize=5, label=backbone if row == 0 else None)
        axes.axvline(0, color=GRAY, linewidth=1)
        axes.set_xlabel("gain in top-1 over the ROI alone, percentage points", color=INK)
        figure.legend(loc="outside upper right", ncols=len(by_backbone))
        figure.savefig(PICTURE, dpi=160)


if __name__ == "__main__":
    main()
