"""Keep the table "which parameter invalidates which stages" of docs/graph.md equal to the graph.

`python -m tools.parameter_table` rewrites the page; a test compares. Every parameter is changed once and stays valid.
"""

import copy
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Literal, NamedTuple, TypeAlias, Union, get_args, get_origin

from ruamel.yaml import YAML

from pipeline.params.base import DEFAULT, Section
from pipeline.params.run_name import RESERVED
from pipeline.params.study import Study, chosen
from pipeline.runtime.errors import ParamsError
from tools.invalidation import Effect, Graph, Values, effect, graph_of

PAGE = Path("docs/graph.md")
PARAMS = Path("params.yaml")
BEGIN, END = "<!-- parameter table: make deps -->\n", "<!-- end of table -->"
HEAD = "| you change | runs again | runs too, if its inputs came out different |\n|---|---|---|\n"
EXAMPLES: dict[str, tuple[object, ...]] = {
    "recipe": ("released",),
    "dataset": ("foodseg103",),
    "roi": ("deit", "vit"),
    "extra_roi": ("none", "mask_channel"),
    "classes": ("no_sauce",),
    "masks.eval": ("sam",),
    "masks.train": ("sam",),
    "ambiguous": ("auto",),
    "seeds": ([1],),
    "distill.teacher": ("mobilenetv2",),
    "probe.backbones": (["mobilenetv2", "vit"],),
    "vote.models": ({"segformer": {"model": "owner/name"}},),
}
"""Values of the parameters that name something; `roi=vit` makes a run of the grid."""
NAMED = ("backbones", "class_sets")
"""Sections of entries that behave alike: one row speaks for all."""

Key: TypeAlias = tuple[str, ...]
"""Place of a parameter, from the section down."""


class Row(NamedTuple):
    """One change and its effect, in Markdown."""

    section: str
    """What the label shares with its neighbours."""
    label: str
    """Parameter, or parameter=value."""
    cells: tuple[str, str]
    """Stages at once, stages below."""
    entry: str = ""
    """Backbone or class set whose parameter it is, which the label calls NAME."""


def rows(values: Values) -> Iterator[Row]:
    """Yield one row a parameter, in the order of `params.yaml`; a parameter that takes one value only has none."""
    before = graph_of(values)
    for key in leaves(values):
        for value, after in changes(values, key):
            name = ".".join(key)
            label = f"{name}={value}" if name in EXAMPLES else name
            cells = _cells(effect(before, after), after)
            yield _general(Row(".".join(key[:-1]), label, cells, key[1] if key[0] in NAMED else ""))


def leaves(values: Values, above: Key = ()) -> Iterator[Key]:
    """Yield the place of every parameter; a choice by data set is one parameter."""
    for name, value in values.items():
        if isinstance(value, dict) and value and DEFAULT not in value:
            yield from leaves(value, (*above, name))
        else:
            yield (*above, name)


def changes(values: Values, key: Key) -> Iterator[tuple[object, Graph]]:
    """Yield graphs of valid changes of one parameter: all of its examples, or else the first value that is accepted."""
    examples = EXAMPLES.get(".".join(key))
    for value in examples or candidates(values, key):
        try:
            yield value, graph_of(replaced(values, key, value))
        except ParamsError:
            continue
        if not examples:
            return


def candidates(values: Values, key: Key) -> tuple[object, ...]:
    """Return values that differ from the present one, most of them valid."""
    present = _at(chosen(dict(values)), key)
    if listed := literals(key):
        return tuple(choice for choice in listed if choice != present)
    return tuple(value for value in _neighbours(present) if value != present)


def _neighbours(value: object) -> tuple[object, ...]:
    match value:
        case bool():
            return (not value,)
        case int():
            return (value + 1, value - 1, 2 * value)
        case float():
            return (value / 2, 0.5)
        case list():
            return (value[:-1], ["other"])
        case dict():
            return ({"other": "/other"},)
    return (f"{value}-other", "0" * 64, 0.5)


def literals(key: Key) -> tuple[object, ...]:
    """Return the choices that the schema lists for a parameter, nothing where it lists none."""
    kind: Any = Study
    for name in key:
        is_section = isinstance(kind, type) and issubclass(kind, Section)
        kind = kind.model_fields[name].annotation if is_section else get_args(kind)[1]
    kinds = get_args(kind) if get_origin(kind) in {Union, UnionType} else (kind,)
    return tuple(value for each in kinds if get_origin(each) is Literal for value in get_args(each))


def _at(values: Any, key: Key) -> Any:
    for name in key:
        values = values[name]
    return values


def replaced(values: Values, key: Key, value: object) -> Values:
    """Return the parameters with another value in one place."""
    result = copy.deepcopy(dict(values))
    _at(result, key[:-1])[key[-1]] = value
    return result


def _cells(found: Effect, graph: Graph) -> tuple[str, str]:
    return _said(found.at_once, graph), _said(found.below, graph)


def _said(names: tuple[str, ...], graph: Graph) -> str:
    """Name stages as a reader would: the group where all of it runs, or what its runs have in common."""
    whole, parts = _groups(tuple(graph.stages)), _groups(names)
    said: dict[str, list[str]] = {}
    for group, items in parts.items():
        said.setdefault(_which(items, whole[group]), []).append(f"`{group}`")
    return "; ".join(f"{', '.join(groups)}{which}" for which, groups in said.items())


def _groups(names: tuple[str, ...]) -> dict[str, set[str]]:
    groups: dict[str, set[str]] = {}
    for name in names:
        group, _, item = name.partition("@")
        groups.setdefault(group, set()).add(item)
    return groups


def _which(items: set[str], every: set[str]) -> str:
    if items == every:
        return ""
    if every - items == set(RESERVED):
        return " of every backbone"
    words = sorted({word for item in every for word in re.split(r"[+-]", item)})
    for word in words:
        if items == {item for item in every if word in re.split(r"[+-]", item)}:
            return f" of `{word}`" if items == {word} else f" of runs with `{word}`"
    return " of " + ", ".join(f"`{item}`" for item in sorted(items))


def _general(row: Row) -> Row:
    """Replace the name of a backbone or class set by NAME, so that rows of its fellows become equal."""
    if not row.entry:
        return row
    first, second = (cell.replace(f"`{row.entry}`", "`NAME`") for cell in row.cells)
    section, label = row.section.replace(f".{row.entry}", ".NAME"), row.label.replace(f".{row.entry}.", ".NAME.")
    return Row(section, label, (first, second), row.entry)


def table(listed: Iterable[Row]) -> str:
    """Return the table in Markdown; parameters of one section with the same effect share a line."""
    lines: dict[tuple[str, tuple[str, str]], list[Row]] = {}
    for row in listed:
        lines.setdefault((row.section or row.label, row.cells), []).append(row)
    sizes = [section for section, _ in lines]
    return HEAD + "".join(
        f"| {_label(section, of_line, alone=sizes.count(section) == 1)} | {cells[0] or 'nothing'} | {cells[1]} |\n"
        for (section, cells), of_line in lines.items()
    )


def _label(section: str, of_line: list[Row], *, alone: bool) -> str:
    labels = _quoted(row.label for row in of_line)
    if alone:
        return f"`{section}.*`" if len(set(labels)) > 1 else labels[0]
    entries = _quoted(row.entry for row in of_line if row.entry)
    return ", ".join(labels) + (f" of {', '.join(entries)}" if entries else "")


def _quoted(names: Iterable[str]) -> list[str]:
    return [f"`{name}`" for name in dict.fromkeys(names)]


def with_table(text: str, new: str) -> str:
    """Return the page's text with the table between its two marks replaced."""
    head, rest = text.split(BEGIN)
    return head + BEGIN + new + END + rest.split(END, maxsplit=1)[1]


def rewrite(page: Path = PAGE, params: Path = PARAMS) -> None:
    """Bring the table in `page` up to date."""
    values = YAML(typ="safe").load(params)
    page.write_text(with_table(page.read_text(encoding="utf-8"), table(rows(values))), encoding="utf-8")


if __name__ == "__main__":
    rewrite()
