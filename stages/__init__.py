"""One script a stage of `dvc.yaml`.

While a stage imports its libraries nothing becomes garbage, and the collector's walks through what torch and timm bring
take a fifth of the time. `pipeline.runtime.console.run_stage` starts it again.
"""

import argparse
import gc
import sys
from pathlib import Path
from typing import Any

if sys.argv[0] == "-m":  # Python looks for the script of `python -m stages.NAME`; nobody else imports this package
    gc.disable()

OPTIONS: dict[str, dict[str, Any]] = {
    "backbone": {"help": "name of the backbone"},
    "classes": {"help": "class set"},
    "extra-roi": {"help": "backbone of the extra-ROI branch, or none"},
    "model": {"help": "name of the voting model"},
    "roi": {"help": "backbone of the ROI branch, or none"},
    "run": {"help": "name of the run"},
    "runs": {"help": "runs to evaluate", "nargs": "+"},
    "seed": {"help": "seed of the repetition", "type": int},
    "source": {"help": "mask source; beside --train, the one to evaluate on"},
    "teacher": {"help": "backbone of the teacher, or none"},
    "train": {"help": "mask source of training"},
    "variant": {"help": "name of the variant's run"},
    "weights": {"help": "folder of pre-trained weights", "type": Path},
}


def parse_options(description: str | None, *names: str) -> argparse.Namespace:
    """Parse the options of a stage's command, all of which are required."""
    parser = argparse.ArgumentParser(description=description)
    for name in names:
        parser.add_argument(f"--{name}", required=True, **OPTIONS[name])
    return parser.parse_args()
