"""How many stages an override runs, beside how many it should: `python -m tests.e2e.overrides FOLDER [OVERRIDE ...]`.

Runs the small study in FOLDER, unless it lies there, then each override as `dvc exp run --temp -S OVERRIDE`, and prints
a table in Markdown. What should run is derived from `dvc.yaml` and stage `configure` by `tools.invalidation`.
"""

import argparse
import sys
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from tests.e2e.checkout import Checkout, checkout, environment, ran
from tools import parameter_table
from tools.invalidation import CONFIGURE, Effect, effect, graph_of

OVERRIDES = (
    "roi=deit",
    "extra_roi=none",
    "classes=no_sauce",
    "masks.eval=sam",
    "train.epochs=2",
    "backbones.vit.timm=demo_deit",
    "seed=1",
)
"""Those of a study that has no other data set to switch to."""
HEAD = "| override | stages that ran | that must | that may besides | of |\n|---|---|---|---|---|"


class Outcome(NamedTuple):
    """What one override ran."""

    override: str
    ran: frozenset[str]
    """Stages."""
    must: frozenset[str]
    """Stages that are new or whose own settings changed, and `configure`."""
    may: frozenset[str]
    """Stages that run if what they read came out different."""
    stages: int
    """Of the whole graph."""

    @property
    def right(self) -> bool:
        """Whether all ran that must, and none that may not."""
        return self.must <= self.ran <= self.must | self.may

    def line(self) -> str:
        """Return the table's row."""
        counts = f"{len(self.ran)} | {len(self.must)} | {len(self.may)} | {self.stages}"
        return f"| `{self.override}` | {counts} |" + ("" if self.right else f" wrong: {sorted(self.ran)}")


def values_of(copy: Checkout) -> dict[str, Any]:
    """Return the parameters as they stand."""
    values: dict[str, Any] = YAML(typ="safe").load(copy.folder / "params.yaml")
    return values


def replaced(values: dict[str, Any], override: str) -> dict[str, Any]:
    """Return the parameters with `a.b=value` done to them."""
    place, _, text = override.partition("=")
    return dict(parameter_table.replaced(values, tuple(place.split(".")), YAML(typ="safe").load(text)))


def expected(copy: Checkout, override: str) -> Effect:
    """Return what should run after an override."""
    values, graph = values_of(copy), copy.folder / "dvc.yaml"
    return effect(graph_of(values, graph), graph_of(replaced(values, override), graph))


def tried(copy: Checkout, override: str) -> Outcome:
    """Run an override in a folder of its own; the checkout stays as it is."""
    should, values = expected(copy, override), values_of(copy)
    output = copy.call("dvc", "exp", "run", "--temp", "-S", override)
    return Outcome(
        override,
        ran=frozenset(ran(output)),
        must=frozenset({*should.at_once, CONFIGURE}),
        may=frozenset(should.below),
        stages=len(graph_of(replaced(values, override), copy.folder / "dvc.yaml").stages),
    )


def main() -> int:
    """Print the table; return how many overrides ran what they should not, or too little."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("overrides", nargs="*", default=OVERRIDES)
    arguments = parser.parse_args()
    folder = arguments.folder.absolute()
    copy = Checkout(folder, environment(folder)) if folder.exists() else checkout(folder)
    copy.call("dvc", "repro")
    if copy.call("git", "status", "--porcelain"):
        copy.commit()
    print(HEAD, flush=True)  # noqa: T201
    wrong = 0
    for override in arguments.overrides:
        outcome = tried(copy, override)
        wrong += not outcome.right
        print(outcome.line(), flush=True)  # noqa: T201
    return wrong


if __name__ == "__main__":
    sys.exit(bool(main()))
