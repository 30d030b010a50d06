"""DVC stage `train`: one run."""

from pathlib import Path

from pipeline.models.device import set_deterministic
from pipeline.params.base import load_settings
from pipeline.params.model import ClassSetParams, TrainParams
from pipeline.params.run_name import RunName
from pipeline.params.runtime import load_runtime
from pipeline.runtime.console import run_stage
from pipeline.runtime.stores import local_or_mirror
from pipeline.steps.train import train
from pipeline.training.launch import run_distributed
from stages import parse_options


def main() -> None:
    """Read data/settings, data/shards and data/weights, write data/runs/RUN."""
    options, runtime = parse_options(__doc__, "run", "roi", "extra-roi", "classes", "source"), load_runtime()
    params = load_settings(TrainParams, Path("data/settings/train.json"))
    set_deterministic(params.threads, params.seed)
    train(
        params,
        run=RunName(options.roi, options.extra_roi, options.classes),
        class_set=load_settings(ClassSetParams, Path(f"data/settings/classes/{options.classes}.json")),
        shards=local_or_mirror(Path("data/shards") / options.source, runtime.mirror),
        weights=Path("data/weights"),
        output=Path("data/runs") / options.run,
        runtime=runtime,
    )


if __name__ == "__main__":
    run_stage(run_distributed(main, load_runtime))
