"""`make torture`: kill the whole graph of a tiny demo many times, and tell what was lost; an interrupted call goes on.

Every kill becomes a line of `torture.jsonl` in the work folder.
"""

import argparse
import json
import pickle
import shutil
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from ruamel.yaml import YAML

from tests.e2e.checkout import Checkout, checkout, environment, keep_runs
from tests.torture.kills import Reference, kind_of, measure, torture

PHOTOS = {"train_photos": 16, "test_photos": 8}
EPOCHS = 3
KEPT = {"mobilenetv2+vit-all", "vit+none-all", "mixer+none-all", "mobilenetv2+none-no_sauce"}
"""Runs of the graph with `--few`: one of two branches, which is the variant, two of one, and one without a class."""


def main() -> int:
    """Torture; return how many kills lost something."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/rvernet-torture"))  # noqa: S108 - named, kept
    parser.add_argument("--few", action="store_true", help="four runs")
    arguments = parser.parse_args()
    folder = arguments.folder.absolute()
    base, reference = _undisturbed(folder, few=arguments.few)
    lines = folder / "torture.jsonl"
    known = [json.loads(line) for line in lines.read_text().splitlines()] if lines.exists() else []
    rounds = max((kill["round"] for kill in known), default=0)
    for left in folder.glob("round*"):  # of a call that was interrupted
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    rest = arguments.kills - len(known)
    for kill in torture(base, reference, folder, kills=rest, seed=arguments.seed, done=rounds):
        known.append(asdict(kill) | {"survived": kill.survived()})
        with lines.open("a", encoding="utf-8") as file:
            file.write(json.dumps(known[-1]) + "\n")
        print(f"{len(known)}/{arguments.kills} {kill}", flush=True)  # noqa: T201
    lost = [kill for kill in known if not kill["survived"]]
    stages = Counter(kind_of(kill["stage"]) for kill in known)
    print(f"{len(known)} kills in {dict(stages)}; {len(lost)} lost something")  # noqa: T201
    return len(lost)


def _undisturbed(folder: Path, *, few: bool) -> tuple[Checkout, Reference]:
    """Return a tiny study and what its undisturbed run gave, from an earlier call if there was one."""
    kept, place = folder / "reference.pickle", folder / "base"
    if kept.exists():
        return Checkout(place, environment(place)), pickle.loads(kept.read_bytes())  # noqa: S301 - written below
    base = checkout(place)
    yaml = YAML()
    values = yaml.load(place / "params.yaml")
    values["demo"] |= PHOTOS
    values["masks"]["photos_per_file"] = values["pair"]["photos_per_file"] = 4
    values["train"]["epochs"] = EPOCHS
    yaml.dump(values, place / "params.yaml")
    if few:
        keep_runs(place, KEPT)
    base.commit()
    reference = measure(base.clone(folder / "reference"), folder / "reference.log")
    kept.write_bytes(pickle.dumps(reference))
    return base, reference


if __name__ == "__main__":
    sys.exit(bool(main()))
