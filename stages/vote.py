"""DVC stage `vote`: one semantic segmentation model."""

from pathlib import Path

from pipeline.models.device import set_deterministic
from pipeline.params.base import load_settings
from pipeline.params.masks import VoteModelParams
from pipeline.params.runtime import load_runtime
from pipeline.runtime.console import run_stage
from pipeline.runtime.stores import local_or_mirror
from pipeline.steps.vote import vote
from stages import parse_options


def main() -> None:
    """Read data/settings, data/raw, data/index and data/masks/SOURCE, write data/votes/MODEL."""
    options, runtime = parse_options(__doc__, "model", "source"), load_runtime()
    params = load_settings(VoteModelParams, Path(f"data/settings/votes/{options.model}.json"))
    set_deterministic(params.threads, seed=0)
    vote(
        params,
        name=options.model,
        raw=local_or_mirror(Path("data/raw"), runtime.mirror),
        samples=Path("data/index/samples.parquet"),
        masks=Path("data/masks") / options.source,
        output=Path("data/votes") / options.model,
        device=runtime.device,
    )


if __name__ == "__main__":
    run_stage(main)
