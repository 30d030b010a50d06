"""What the study's stages cost here: a table on the terminal, and the report's appendix `data/cost.html`.

No output: times differ from run to run, so they stay out of `data/report`, which has the same bytes everywhere.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment

from pipeline.runtime.errors import counted
from pipeline.runtime.resources import format_bytes
from pipeline.runtime.times import format_seconds
from pipeline.steps.schedule import PARAMS, current_stages, read_records

PAGE = Path("data/cost.html")
HEAD = ("stage", "time", "work", "memory", "GPU memory", "device", "ended")
TEMPLATE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>What this study cost</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>body { font: 15px/1.5 sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem }
td, th { padding: .1rem .8rem .1rem 0; text-align: left; font-variant-numeric: tabular-nums }</style></head>
<body><h1>What this study cost</h1><p>{{ summary }}</p>
<table><thead><tr>{% for name in head %}<th>{{ name }}</th>{% endfor %}</tr></thead><tbody>
{% for row in rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table>
<p>Time is that of the stage's process, parts before an interruption included unless they were killed; memory the peak
of the process, and of its largest child process. <a href="report/index.html">The report</a></p></body></html>
"""


class StudyCost(NamedTuple):
    """The last finished run of each stage of the present study."""

    time: str  # of all stages together
    devices: tuple[str, ...]
    summary: str  # totals in a sentence
    rows: tuple[tuple[str, ...], ...]  # cells below `HEAD`


def study_cost(records: Sequence[dict[str, Any]], stages: Sequence[str]) -> StudyCost:
    """Return what the stages cost, in their order; those that have no record on this machine are counted.

    So are stages of other variants, which `dvc exp run -S` ran.
    """
    last = {record["stage"]: record for record in records if record["done"]}
    found = [last[stage] for stage in stages if stage in last]
    others = [record for stage, record in last.items() if stage not in stages]
    devices = tuple(sorted({record["device"] for record in found}))
    time = format_seconds(sum((record["total"] for record in found), start=0.0))
    missing = len(stages) - len(found)
    said = [f"{time} for {len(found)} of {len(stages)} stages" + (f" on {', '.join(devices)}" if devices else "")]
    if missing:
        said.append(f"{counted(missing, 'stage')} not run on this machine")
    if others:
        of_others = format_seconds(sum(record["total"] for record in others))
        said.append(f"{of_others} for {counted(len(others), 'stage')} of other variants")
    return StudyCost(time, devices, "; ".join(said), tuple(map(_row, (*found, *others))))


def _row(record: dict[str, Any]) -> tuple[str, ...]:
    work = record["work"]
    counted_work = bool(work["seconds"]) and work["unit"] not in {"", "B"}
    rate = f"{work['amount'] / work['seconds']:,.1f} {work['unit'].removesuffix('s')}s/s" if counted_work else ""
    own, child, gpu = (record.get(name, 0) for name in ("peak_bytes", "child_peak_bytes", "gpu_peak_bytes"))
    return (
        record["stage"],
        format_seconds(record["total"]),
        rate,
        format_bytes(own) + (f", {format_bytes(child)}" if child else ""),
        format_bytes(gpu) if gpu else "",
        f"{record['device']}, {record['machine']}",
        record["ended"],
    )


def write_cost(page: Path = PAGE) -> StudyCost:
    """Write the page from `.times/stages.jsonl` and return its content."""
    cost = study_cost(read_records(), tuple(current_stages(PARAMS)))
    page.parent.mkdir(parents=True, exist_ok=True)
    template = Environment(autoescape=True).from_string(TEMPLATE)
    page.write_text(template.render(head=HEAD, **cost._asdict()), encoding="utf-8")
    return cost
